//! What endpoints' owners, their name servers and their servers may try: every row goes through the transport itself, with a
//! resolver that answers as it is told. Nothing here reaches the network, and whatever must not be reached is a trap that
//! counts who knocks.

mod servers;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::dns::Resolve;
use tokio::io::AsyncWriteExt;

use self::servers::{drips, floods, redirects};
use super::resolve::Looking;
use super::tests::{answering, request, serving, status};
use super::*;
use crate::time::SystemClock;

/// Every range that is refused, by the registries of special addresses (IANA) and what other senders refuse: the address
/// before it, its first, its last, and the one after it. A `+` marks those that are public.
const RANGES: &str = "
this network |  | 0.0.0.0 | 0.255.255.255 | +1.0.0.0
private, 10/8 | +9.255.255.255 | 10.0.0.0 | 10.255.255.255 | +11.0.0.0
carriers | +100.63.255.255 | 100.64.0.0 | 100.127.255.255 | +100.128.0.0
loopback | +126.255.255.255 | 127.0.0.0 | 127.255.255.255 | +128.0.0.0
link-local | +169.253.255.255 | 169.254.0.0 | 169.254.255.255 | +169.255.0.0
private, 172.16/12 | +172.15.255.255 | 172.16.0.0 | 172.31.255.255 | +172.32.0.0
protocols | +191.255.255.255 | 192.0.0.0 | 192.0.0.255 | +192.0.1.0
documentation 1 | +192.0.1.255 | 192.0.2.0 | 192.0.2.255 | +192.0.3.0
6to4 relays | +192.88.98.255 | 192.88.99.0 | 192.88.99.255 | +192.88.100.0
private, 192.168/16 | +192.167.255.255 | 192.168.0.0 | 192.168.255.255 | +192.169.0.0
benchmarks | +198.17.255.255 | 198.18.0.0 | 198.19.255.255 | +198.20.0.0
documentation 2 | +198.51.99.255 | 198.51.100.0 | 198.51.100.255 | +198.51.101.0
documentation 3 | +203.0.112.255 | 203.0.113.0 | 203.0.113.255 | +203.0.114.0
multicast | +223.255.255.255 | 224.0.0.0 | 239.255.255.255 | 240.0.0.0
reserved | 239.255.255.255 | 240.0.0.0 | 255.255.255.254 | 255.255.255.255
below what is handed out |  | :: | 1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | +2000::
loopback of IPv6 | :: | ::1 | ::1 | ::2
compatible | ::ffff | ::1.0.0.0 | ::255.255.255.255 | ::1:0:0:0
mapped | ::fffe:ffff:ffff | ::ffff:0.0.0.0 | ::ffff:255.255.255.255 | ::1:0:0:0
NAT64 | 64:ff9a:ffff:: | 64:ff9b:: | 64:ff9b::255.255.255.255 | 64:ff9b::1:0:0
NAT64, local | 64:ff9b:0:ffff:: | 64:ff9b:1:: | 64:ff9b:1:ffff:ffff:ffff:ffff:ffff | 64:ff9b:2::
discard | ff:ffff:: | 100:: | 100::ffff:ffff:ffff:ffff | 100:0:0:1::
Teredo | +2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 2001:: | 2001:0:ffff:ffff:ffff:ffff:ffff:ffff | +2001:1::
documentation of IPv6 | +2001:db7:ffff:ffff:ffff:ffff:ffff:ffff | 2001:db8:: | 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff | +2001:db9::
6to4 | +2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 2002:: | 2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff | +2003::
documentation 2 of IPv6 | +3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 3fff:: | 3fff:0fff:ffff:ffff:ffff:ffff:ffff:ffff | +3fff:1000::
above what is handed out | +3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 4000:: | ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 
segment routing | 5eff:ffff:: | 5f00:: | 5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 5f01::
unique local | fbff:ffff:: | fc00:: | fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | fe00::
link-local of IPv6 | fe7f:ffff:: | fe80:: | febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff | fec0::
site-local of IPv6 | febf:ffff:: | fec0:: | feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | ff00::
multicast of IPv6 | feff:ffff:: | ff00:: | ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 
";

/// Single addresses: those that clouds keep their secrets at, those that hide one of IPv4, and two that are public.
const SINGLE: &str = "
metadata | 169.254.169.254
credentials of containers | 169.254.170.2
credentials of pods | 169.254.170.23
the runtime's network | 169.254.100.1
time | 169.254.169.123
metadata of IPv6 | fd00:ec2::254
credentials of pods, IPv6 | fd00:ec2::23
broadcast | 255.255.255.255
mapped private | ::ffff:10.0.0.1
mapped metadata | ::ffff:169.254.169.254
mapped public | ::ffff:8.8.8.8
compatible loopback | ::127.0.0.1
NAT64 of a private one | 64:ff9b::10.0.0.1
NAT64 of metadata | 64:ff9b::a9fe:a9fe
local NAT64 of loopback | 64:ff9b:1::7f00:1
6to4 of a private one | 2002:a00:1::
6to4 of metadata | 2002:a9fe:a9fe::1
Teredo of a private server | 2001:0:a00:1::
translated | ::ffff:0:127.0.0.1
a public one | +93.184.215.14
a public one of IPv6 | +2606:4700::1111
";

/// Every row's name, and each of its addresses with whether it is public.
fn addresses() -> Vec<(&'static str, &'static str, bool)> {
    let rows = [RANGES, SINGLE].into_iter().flat_map(str::lines);
    rows.filter_map(|row| row.split_once(" | "))
        .flat_map(|(name, row)| row.split('|').map(move |text| (name, text.trim())))
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| match text.strip_prefix('+') {
            Some(public) => (name, public, true),
            None => (name, text, false),
        })
        .collect()
}

/// URLs that lead, or might lead some reader of URLs, where nobody may be led. The resolver would answer with a public address.
const URLS: [&str; 68] = [
    // Addresses in all their spellings.
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0X7F.1/",
    "https://017700000001/",
    "https://0177.0.0.01/",
    "https://0177.0x0.0.1/",
    "https://127.0.0.1./",
    "https://127.0.0.1../",
    "https://%31%32%37.0.0.1/",
    "https://127%2e0%2e0%2e1/",
    "https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
    "https://127\u{3002}0\u{3002}0\u{3002}1/",
    "https://\u{2460}\u{2461}\u{2466}.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://0xa000001/",
    "https://012.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/latest/meta-data/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://169.254.43518/",
    "https://169.16689662/",
    "https://192.168.1.1:8443/",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[::1",
    "https://[127.0.0.1]/",
    // Names that only the inside knows.
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://db.internal/",
    "https://metadata.google.internal/",
    "https://printer.local/",
    "https://Printer.LOCAL./",
    "https://intranet/",
    "https://shop..example/",
    "https://loc\u{ad}alhost/",
    // Who reads what as the host.
    "https://shop.example@127.0.0.1/",
    "https://shop.example:443@127.0.0.1/",
    "https://user@shop.example/",
    "https://:password@shop.example/",
    "https:\\\\127.0.0.1\\",
    "https://127.0.0.1\\@shop.example/",
    "https://127.0.0.1#@shop.example/",
    "https://\t127.0.0.1\n/",
    // Other ways and doors.
    "http://shop.example/",
    "https://shop.example:22/",
    "https://shop.example:9001/",
    "https://shop.example:0/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/",
];

/// Answers of a resolver that hold one address too many.
fn answers() -> Vec<Vec<&'static str>> {
    let refused = [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "::1",
        "::ffff:10.0.0.1",
        "fd00:ec2::254",
        "fe80::1",
    ];
    let two = |bad| [vec!["93.184.215.14", bad], vec![bad, "93.184.215.14"]];
    let many = |bad| {
        vec![
            "93.184.215.14",
            "2606:4700::1111",
            "1.1.1.1",
            bad,
            "8.8.8.8",
        ]
    };
    refused
        .into_iter()
        .flat_map(|bad| two(bad).into_iter().chain([many(bad)]))
        .collect()
}

/// A resolver that says what it is told, the last answer for ever, and counts.
struct Told {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Told {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |text: &&str| text.parse().expect("an address");
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(parse).collect());
        Arc::new(Self {
            answers: Mutex::new(answers.collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Lookup for Told {
    fn lookup(&self, _name: String) -> Looking {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().expect("nobody panics with the lock");
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        Box::pin(std::future::ready(Ok(answer.unwrap_or_default())))
    }
}

fn https(vetting: Vetting, lookup: Arc<Told>) -> Https {
    Https::with(
        vetting,
        Arc::new(SystemClock),
        lookup,
        RootCertStore::empty(),
    )
    .expect("its configuration is taken")
}

/// What must never be reached, and how often it was.
async fn trap() -> (SocketAddr, Arc<AtomicUsize>) {
    let knocks = Arc::new(AtomicUsize::new(0));
    let count = knocks.clone();
    let address = serving(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    })
    .await;
    (address, knocks)
}

/// The loopback is exempt but for the trap.
fn all_but(trap: SocketAddr) -> Vetting {
    Vetting::new(vec!["127.0.0.0/8".parse().expect("a network")], Some(trap))
}

#[test]
fn the_tables_hold_two_hundred_cases() {
    let cases = addresses().len()
        + URLS.len()
        + answers().len()
        + redirects().len()
        + floods().len()
        + drips().len();
    assert!(cases >= 200, "{cases}");
}

#[tokio::test]
async fn every_edge_of_every_range_is_judged_where_names_are_resolved() {
    let url = Url::parse("https://shop.example/").expect("a URL");
    for (name, text, public) in addresses() {
        let told = Told::new(&[&[text]]);
        let vetted = Vetted {
            vetting: Arc::new(Vetting::default()),
            lookup: told.clone(),
        };
        let asked = "shop.example".parse().expect("a name");
        let given = TARGET
            .scope(url.clone(), async { vetted.resolve(asked).await })
            .await;
        let given = given
            .map(|addresses| addresses.map(|it| it.ip()).collect::<Vec<_>>())
            .ok();
        let want = public.then(|| vec![text.parse().expect("an address")]);
        assert_eq!(given, want, "{name}");
        if !public {
            let outcome = https(Vetting::default(), told.clone())
                .post(request(url.as_str(), 2000))
                .await;
            assert_eq!(outcome, Outcome::Failed(Failure::Blocked), "{name}");
            assert_eq!(
                told.asked.load(Ordering::SeqCst),
                2,
                "{name}: resolved once for a request"
            );
            let literal = match text.parse() {
                Ok(IpAddr::V6(address)) => format!("https://[{address}]/"),
                _ => format!("https://{text}/"),
            };
            let outcome = https(Vetting::default(), told)
                .post(request(literal, 2000))
                .await;
            assert_eq!(
                outcome,
                Outcome::Failed(Failure::Blocked),
                "{name}, as a literal"
            );
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_url_leads_where_nobody_may_be_led() {
    for url in URLS {
        let told = Told::new(&[&["93.184.215.14"]]);
        let outcome = https(Vetting::default(), told.clone())
            .post(request(url, 2000))
            .await;
        assert_eq!(outcome, Outcome::Failed(Failure::Blocked), "{url}");
        assert_eq!(
            told.asked.load(Ordering::SeqCst),
            0,
            "{url}: nobody was asked about it"
        );
    }
}

#[tokio::test]
async fn one_bad_address_among_good_ones_is_enough() {
    for answer in answers() {
        let outcome = https(Vetting::default(), Told::new(&[&answer]))
            .post(request("https://shop.example/", 2000))
            .await;
        assert_eq!(outcome, Outcome::Failed(Failure::Blocked), "{answer:?}");
    }
}

/// A name server that answers otherwise each time: what was judged is what is connected to, and it is judged each time.
#[tokio::test]
async fn a_name_that_changes_its_mind_reaches_nothing_that_was_not_judged() {
    let (trap, knocks) = trap().await;
    let good = answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    // On the trap's port the loopback is refused, on the other one it is not; elsewhere it is refused on every port.
    type Case<'a> = (&'a [&'a [&'a str]], SocketAddr, [Option<u16>; 3]);
    let cases: [Case<'_>; 6] = [
        (
            &[&["127.0.0.1"], &["10.0.0.1"]],
            good,
            [Some(200), None, None],
        ),
        (
            &[&["10.0.0.1"], &["127.0.0.1"]],
            good,
            [None, Some(200), Some(200)],
        ),
        (
            &[&["127.0.0.1"], &["127.0.0.1", "10.0.0.1"], &["127.0.0.1"]],
            good,
            [Some(200), None, Some(200)],
        ),
        (
            &[&["127.0.0.1"], &["::ffff:169.254.169.254"], &["::1"]],
            good,
            [Some(200), None, None],
        ),
        (
            &[&["127.0.0.1"], &[], &["0.0.0.0"]],
            good,
            [Some(200), None, None],
        ),
        (
            &[
                &["127.0.0.1"],
                &["::ffff:127.0.0.1"],
                &["127.0.0.1", "::ffff:127.0.0.1"],
            ],
            trap,
            [None, None, None],
        ),
    ];
    for (answers, address, want) in cases {
        let told = Told::new(answers);
        let https = https(all_but(trap), told.clone());
        let url = format!("http://shop.example:{}/", address.port());
        for (n, want) in want.into_iter().enumerate() {
            let outcome = https.post(request(url.as_str(), 5000)).await;
            assert_eq!(
                status(&outcome),
                want,
                "{answers:?}, request {n}: {outcome:?}"
            );
        }
        assert_eq!(
            told.asked.load(Ordering::SeqCst),
            3,
            "{answers:?}: resolved once for each connection"
        );
    }
    assert_eq!(
        knocks.load(Ordering::SeqCst),
        0,
        "somebody knocked at the trap"
    );
}
