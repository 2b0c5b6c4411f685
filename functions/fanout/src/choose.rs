//! Who of a tenant's endpoints hears of an event: those that play a role it goes to, take deliveries and want its type.

use std::collections::BTreeMap;

use shared::delivery::{Endpoint, EndpointState};
use shared::event::{Chosen, EventType, NoReceiver, Role, Told};

/// Who of `endpoints` hears of an event in each role that it goes to, or why nobody does.
pub(crate) fn choose(
    told: &Told,
    endpoints: &[Endpoint],
    event_type: &EventType,
) -> BTreeMap<Role, Chosen> {
    let of_role = |role: Role| {
        let all: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.role == role)
            .collect();
        let enabled: Vec<_> = all
            .iter()
            .filter(|endpoint| endpoint.state == EndpointState::Enabled)
            .collect();
        let wanting: Vec<_> = enabled
            .iter()
            .filter(|endpoint| endpoint.wants(event_type))
            .map(|e| e.id.clone())
            .collect();
        if !wanting.is_empty() {
            Chosen::Endpoints(wanting)
        } else if all.is_empty() {
            Chosen::Nobody(NoReceiver::NoEndpoint)
        } else if enabled.is_empty() {
            Chosen::Nobody(NoReceiver::EndpointDisabled)
        } else {
            Chosen::Nobody(NoReceiver::Filtered)
        }
    };
    let chosen = told.roles.iter().map(|role| (*role, of_role(*role)));
    let copies = told
        .copies
        .iter()
        .map(|role| (*role, of_role(*role)))
        .filter(|(_, chosen)| matches!(chosen, Chosen::Endpoints(_)));
    let refused = told
        .refused
        .iter()
        .map(|role| (*role, Chosen::Nobody(NoReceiver::CardOnly)));
    chosen.chain(copies).chain(refused).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::delivery::{BreakerPolicy, Filter, Policy, Scheme};
    use shared::event::{Json, Kind, Route, route};
    use shared::ids::{EndpointId, TenantId};
    use shared::signature::stellar::SignedHost;

    use super::*;

    fn endpoint(id: &str, role: Role, state: EndpointState, filter: Option<&str>) -> Endpoint {
        Endpoint {
            tenant: TenantId::parse("acme").expect("a valid id"),
            id: EndpointId::parse(id).expect("a valid id"),
            url: "https://shop.example/hook".into(),
            role,
            scheme: Scheme::StandardWebhooks,
            secrets: vec![],
            locked: Vec::new(),
            filter: filter.map(|entry| Filter::parse(vec![entry.into()]).expect("a valid filter")),
            signed_host: SignedHost::AsSent,
            breaker: BreakerPolicy::default(),
            decision_url: None,
            policy: Policy::default_for(Scheme::StandardWebhooks),
            deadline: Scheme::StandardWebhooks.deadline(),
            useful_for: None,
            state,
        }
    }

    #[test]
    fn endpoints_are_chosen_by_role_state_and_filter_or_the_reason_is_kept() {
        use EndpointState::{Disabled, Enabled, Gone};
        struct Case {
            name: &'static str,
            endpoints: Vec<Endpoint>,
            want: Result<Vec<&'static str>, NoReceiver>,
        }
        let merchant = |id, state, filter| endpoint(id, Role::Merchant, state, filter);
        let cases = [
            Case {
                name: "nobody at all",
                endpoints: vec![],
                want: Err(NoReceiver::NoEndpoint),
            },
            Case {
                name: "only another role",
                endpoints: vec![endpoint("a", Role::Ase, Enabled, None)],
                want: Err(NoReceiver::NoEndpoint),
            },
            Case {
                name: "two of the role, one of another",
                endpoints: vec![
                    merchant("a", Enabled, None),
                    endpoint("b", Role::Pos, Enabled, None),
                    merchant("c", Enabled, Some("recovery.*")),
                ],
                want: Ok(vec!["a", "c"]),
            },
            Case {
                name: "one filtered, one switched off",
                endpoints: vec![
                    merchant("a", Enabled, Some("other.*")),
                    merchant("b", Disabled, None),
                ],
                want: Err(NoReceiver::Filtered),
            },
            Case {
                name: "all switched off",
                endpoints: vec![merchant("a", Gone, None), merchant("b", Disabled, None)],
                want: Err(NoReceiver::EndpointDisabled),
            },
        ];
        for Case {
            name,
            endpoints,
            want,
        } in cases
        {
            let told = Told {
                roles: BTreeSet::from([Role::Merchant]),
                ..Told::default()
            };
            let recovered = EventType::parse("recovery.recovered").expect("a valid type");
            let chosen = choose(&told, &endpoints, &recovered);
            let want = match want {
                Ok(ids) => Chosen::Endpoints(
                    ids.into_iter()
                        .map(|id| EndpointId::parse(id).expect("a valid id"))
                        .collect(),
                ),
                Err(reason) => Chosen::Nobody(reason),
            };
            assert_eq!(chosen, BTreeMap::from([(Role::Merchant, want)]), "{name}");
        }
    }

    /// How an event of a type may come: as its sample, with or without what the rules look at.
    fn data(kind: Kind, card: bool, received: bool) -> Json {
        let sample: serde_json::Value = serde_json::from_str(kind.sample()).expect("valid JSON");
        let mut data = sample.get("data").cloned().expect("it has a payload");
        let fields = data.as_object_mut().expect("it is an object");
        if card {
            let details = serde_json::json!({"requestId": "r-1"});
            fields.insert("cardDetails".into(), details);
        } else {
            fields.remove("cardDetails");
        }
        if let Some(amount) = fields.get_mut("receivedAmount") {
            let value = if received { "1000" } else { "0" };
            *amount = serde_json::json!({"value": value, "assetCode": "USD", "assetScale": 2});
        }
        Json::parse(data.to_string()).expect("valid JSON")
    }

    /// What is recorded: `role` for one with its endpoint, `role:reason` for one without.
    fn recorded(
        event_type: &EventType,
        data: &Json,
        named: Option<&BTreeSet<Role>>,
        endpoints: &[Endpoint],
    ) -> String {
        let told = match route(event_type, data, named) {
            Route::To(told) => told,
            Route::SetAside(reason) => return reason.as_str().to_owned(),
        };
        let chosen = choose(&told, endpoints, event_type);
        let words = chosen.iter().map(|(role, chosen)| match chosen {
            Chosen::Endpoints(ids) => {
                assert_eq!(
                    ids,
                    &[EndpointId::parse(role.as_str()).expect("a valid id")]
                );
                role.to_string()
            }
            Chosen::Nobody(reason) => format!("{role}:{}", reason.as_str()),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Every type, started by a card or not, with something received or not, recipients named or not, endpoints there or
    /// not. A row gives the outcome with an endpoint of each role; `+` marks a copy, `!` a role that is refused.
    #[test]
    fn every_type_goes_exactly_where_its_rules_say_and_the_reasons_are_kept() {
        struct Row {
            types: &'static [&'static str],
            /// Of these payloads: started by a card, something received; `None` where it makes no difference.
            when: (Option<bool>, Option<bool>),
            /// When the sender names nobody, `ase,pos`, and `card`.
            want: [&'static str; 3],
        }
        let either = (None, None);
        let rows = [
            Row {
                types: &[
                    "recovery.payment_failed",
                    "recovery.payment_succeeded",
                    "recovery.payment_pending",
                    "recovery.recovered",
                    "recovery.retry_scheduled",
                    "recovery.retry_due",
                    "recovery.limits_exhausted",
                    "recovery.cancelled",
                ],
                when: either,
                want: ["merchant", "ase pos", "card"],
            },
            Row {
                types: &[
                    "incoming_payment.created",
                    "incoming_payment.partial_payment_received",
                    "incoming_payment.decision_requested",
                    "incoming_payment.partial_decision_requested",
                    "outgoing_payment.created",
                    "outgoing_payment.completed",
                    "outgoing_payment.failed",
                    "wallet_address.web_monetization",
                    "grant.revoked",
                ],
                when: either,
                want: ["ase", "ase pos", "card"],
            },
            Row {
                types: &["incoming_payment.completed", "incoming_payment.expired"],
                when: (None, Some(true)),
                want: ["ase", "ase pos", "card"],
            },
            Row {
                types: &["incoming_payment.completed", "incoming_payment.expired"],
                when: (None, Some(false)),
                want: ["nothing_received"; 3],
            },
            Row {
                types: &["outgoing_payment.funded", "outgoing_payment.cancelled"],
                when: (Some(true), None),
                want: ["card", "card !ase !pos", "card"],
            },
            Row {
                types: &["outgoing_payment.funded", "outgoing_payment.cancelled"],
                when: (Some(false), None),
                want: ["not_card_initiated"; 3],
            },
            Row {
                types: &[
                    "wallet_address.not_found",
                    "asset.liquidity_low",
                    "asset.liquidity_high",
                    "peer.liquidity_low",
                    "peer.liquidity_high",
                ],
                when: either,
                want: ["ase +operator", "ase pos +operator", "card +operator"],
            },
        ];
        let named = [
            None,
            Some(BTreeSet::from([Role::Ase, Role::Pos])),
            Some(BTreeSet::from([Role::Card])),
        ];
        let all = Role::ALL.map(|role| endpoint(role.as_str(), role, EndpointState::Enabled, None));
        let mut seen = BTreeSet::new();
        for Row { types, when, want } in rows {
            for event_type in types {
                let event_type = EventType::parse(*event_type).expect("a valid type");
                let kind = Kind::of(&event_type).expect("a type of the catalogue");
                for (card, received) in [(true, true), (true, false), (false, true), (false, false)]
                {
                    if when.0.is_some_and(|when| when != card)
                        || when.1.is_some_and(|when| when != received)
                    {
                        continue;
                    }
                    let data = data(kind, card, received);
                    for (named, want) in named.iter().zip(want) {
                        let name = format!("{kind:?} card {card} received {received} to {named:?}");
                        assert!(seen.insert(name.clone()), "{name} stands there twice");
                        let got =
                            |endpoints| recorded(&event_type, &data, named.as_ref(), endpoints);
                        let set_aside = want.contains("_received") || want.contains("_initiated");
                        let word = |there: bool| {
                            let words = want.split(' ').filter_map(move |word| {
                                if let Some(refused) = word.strip_prefix('!') {
                                    return Some(format!("{refused}:card_only"));
                                }
                                match (word.strip_prefix('+'), there || set_aside) {
                                    (Some(copy), true) => Some(copy.to_owned()),
                                    (Some(_), false) => None,
                                    (None, true) => Some(word.to_owned()),
                                    (None, false) => Some(format!("{word}:no_endpoint")),
                                }
                            });
                            words.collect::<BTreeSet<_>>()
                        };
                        let words = |text: String| {
                            text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>()
                        };
                        assert_eq!(words(got(&all)), word(true), "{name}, with every endpoint");
                        assert_eq!(words(got(&[])), word(false), "{name}, with no endpoint");
                    }
                }
            }
        }
        assert_eq!(
            seen.len(),
            Kind::ALL.len() * 4 * 3,
            "every case stands there once"
        );
    }

    #[test]
    fn a_type_that_is_not_in_the_catalogue_goes_to_whoever_asks_for_it() {
        let new = EventType::parse("card_payment.disputed").expect("a valid type");
        let data = Json::parse("{}".into()).expect("valid JSON");
        let of = |role: Role, filter| endpoint(role.as_str(), role, EndpointState::Enabled, filter);
        let pos = BTreeSet::from([Role::Pos]);
        let cases = [
            ("nobody there", vec![], None, "ase:no_endpoint"),
            (
                "nobody asks",
                vec![of(Role::Ase, None), of(Role::Pos, None)],
                None,
                "ase:filtered",
            ),
            (
                "by name",
                vec![of(Role::Ase, Some("card_payment.disputed"))],
                None,
                "ase",
            ),
            (
                "by prefix",
                vec![of(Role::Ase, Some("card_payment.*"))],
                None,
                "ase",
            ),
            ("by star", vec![of(Role::Ase, Some("*"))], None, "ase"),
            (
                "in another role",
                vec![
                    of(Role::Ase, None),
                    of(Role::Card, Some("*")),
                    of(Role::Pos, Some("other.*")),
                ],
                None,
                "ase:filtered card",
            ),
            (
                "the sender names who",
                vec![of(Role::Ase, Some("*")), of(Role::Pos, Some("*"))],
                Some(&pos),
                "pos",
            ),
            (
                "the sender names who does not ask",
                vec![of(Role::Pos, None)],
                Some(&pos),
                "pos:filtered",
            ),
        ];
        for (name, endpoints, named, want) in cases {
            assert_eq!(recorded(&new, &data, named, &endpoints), want, "{name}");
        }
    }
}
