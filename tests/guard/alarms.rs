//! The alarms are ones that can go off: they watch what is there, say so to whoever operates it, and leave no part out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shared::queue::Queue;
use tests::alarms::{Alarm, FrontDoor, Metric, Metrics, State, ours};

use crate::{quoted, read};

const FUNCTIONS: [&str; 9] = [
    "Ingest", "Publish", "Decide", "Anchor", "Recover", "Fanout", "Deliver", "Sweep", "Console",
];

/// All alarms by name, those of both front doors.
fn all() -> BTreeMap<String, Alarm> {
    [FrontDoor::FunctionUrl, FrontDoor::HttpApi]
        .into_iter()
        .flat_map(|door| ours(door).expect("each alarm of the template can be evaluated"))
        .map(|alarm| (alarm.name.clone(), alarm))
        .collect()
}

/// A queue's name in the template.
fn title(queue: Queue) -> &'static str {
    match queue {
        Queue::Recover => "Recover",
        Queue::Fanout => "Fanout",
        Queue::Deliver => "Deliver",
        Queue::DeliverOrdered => "DeliverOrdered",
    }
}

#[test]
fn each_alarm_of_the_template_is_read_and_watches_what_is_there() {
    let (template, alarms) = (read("infra/template.yaml"), all());
    assert_eq!(
        alarms.len(),
        template.matches("Type: AWS::CloudWatch::Alarm\n").count()
    );
    for alarm in alarms.values() {
        for Metric { of, name, .. } in alarm.metrics() {
            let (resource, index) = of.split_once('/').unwrap_or((of, ""));
            assert!(
                resource.is_empty() || template.contains(&format!("\n  {resource}:\n    Type: ")),
                "{} watches {of}, which is no resource",
                alarm.name
            );
            assert!(
                index.is_empty() || template.contains(&format!("IndexName: {index}\n")),
                "{} watches {of}, which is no index",
                alarm.name
            );
            // What is of nothing is counted by a metric filter, which must be there.
            assert!(
                !of.is_empty() || template.contains(&format!("MetricName: {name}, ")),
                "{} watches {name}, which nothing counts",
                alarm.name
            );
        }
    }
}

#[test]
fn each_alarm_goes_off_when_what_it_watches_is_bad_and_not_when_it_is_well() {
    let begin = Timestamp::UNIX_EPOCH;
    let minute = |number: i64| begin + SignedDuration::from_mins(number);
    let (well, bad) = (minute(0), minute(60));
    for (name, alarm) in all() {
        let mut metrics = Metrics::default();
        for number in 0..120 {
            let at = minute(number);
            for metric in alarm.metrics() {
                let value = match (metric.name.as_str(), at < bad) {
                    // Calls go on, but those of sweep end with the bad times.
                    ("Invocations", _) if name.ends_with("-errors") => 100,
                    ("Invocations", well) => i64::from(well),
                    (_, true) => 0,
                    (_, false) => 100_000,
                };
                metrics.put(metric.clone(), at, value);
            }
        }
        let warm = well + SignedDuration::from_mins(15);
        assert_eq!(
            alarm.first(&metrics, warm, bad),
            None,
            "{name} when all is well"
        );
        let first = alarm.first(&metrics, bad, minute(120));
        let most = bad + SignedDuration::from_mins(15);
        assert!(first.is_some_and(|at| at <= most), "{name} at {first:?}");
    }
}

#[test]
fn no_queue_and_no_function_is_left_out() {
    let alarms = all();
    let watched = |name: &str| -> BTreeSet<String> {
        let alarm = alarms.get(name);
        let alarm = alarm.unwrap_or_else(|| panic!("there is no alarm {name}"));
        alarm.metrics().map(|metric| metric.of.clone()).collect()
    };
    for queue in Queue::ALL {
        let (name, of) = (queue.as_str(), title(queue));
        assert!(watched(&format!("{name}-age")).contains(&format!("{of}Queue")));
        assert!(watched(&format!("{name}-dead")).contains(&format!("{of}DeadQueue")));
        // A dead wallet's messages may fill the ordered queue, which holds up nobody else.
        if !queue.is_fifo() {
            assert!(watched(&format!("{name}-backlog")).contains(&format!("{of}Queue")));
        }
    }
    let throttled = watched("throttles");
    for function in FUNCTIONS {
        let of = format!("{function}Function");
        assert!(watched(&format!("{}-errors", function.to_lowercase())).contains(&of));
        assert!(
            throttled.contains(&of),
            "throttles of {function} are alarmed"
        );
    }
}

#[test]
fn the_operators_guide_has_a_row_for_each_alarm() {
    let guide = read("infra/README.md");
    let named: BTreeSet<&str> = guide
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split(" | ").next())
        .flat_map(quoted)
        .collect();
    for name in all().into_keys() {
        let of_a_function = name.ends_with("-errors") && named.contains("<function>-errors");
        assert!(
            of_a_function || named.contains(name.as_str()),
            "infra/README.md does not say what to do about `{name}`"
        );
    }
}

#[test]
fn a_healthy_stack_that_nobody_calls_raises_no_alarm() {
    let minute = |number: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(number);
    let mut metrics = Metrics::default();
    for number in 0..60 {
        metrics.put(
            Metric::new("AWS/Lambda", "Invocations", "SweepFunction"),
            minute(number),
            1,
        );
    }
    for (name, alarm) in all() {
        assert_eq!(alarm.at(&metrics, minute(60)), State::Ok, "{name}");
    }
}
