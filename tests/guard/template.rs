//! The template and the code agree: what each function reads of its environment, times, and receive counts.

use std::collections::BTreeSet;

use shared::delivery::DEADLINE_MOST;
use shared::queue::Queue;
use shared::queue::memory::Spec;

use crate::{files, read};

/// The lines of one resource of the template.
fn resource(template: &str, name: &str) -> String {
    let head = format!("\n  {name}:\n");
    let start = template
        .find(&head)
        .unwrap_or_else(|| panic!("the template has no resource {name}"));
    let body = template.get(start + head.len()..).unwrap_or_default();
    body.lines()
        .take_while(|line| line.is_empty() || line.starts_with("   "))
        .collect::<Vec<_>>()
        .join("\n")
}

fn number(resource: &str, key: &str) -> i64 {
    let line = resource
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("{key}: ")));
    let value = line.unwrap_or_else(|| panic!("no {key} in\n{resource}"));
    value
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{key} is `{value}`"))
}

fn title(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_uppercase())
    };
    name.split('-').map(capital).collect()
}

/// A queue's name as a part of a setting's name.
fn upper(queue: &str) -> String {
    queue.to_uppercase().replace('-', "_")
}

/// The function that reads a queue, whose name begins with it.
fn reader(queue: Queue) -> String {
    let name = queue.as_str();
    title(name.split('-').next().unwrap_or(name))
}

const FUNCTIONS: [&str; 9] = [
    "ingest", "publish", "decide", "anchor", "recover", "fanout", "deliver", "sweep", "console",
];

/// What a function's root reads of its environment, by the readers of `shared::config` that it calls.
fn read_by(main: &str) -> BTreeSet<String> {
    // The formatter breaks a chain of calls where it likes.
    let main: String = main.split_whitespace().collect();
    let readers = [
        ("settings.table()", "PAYRELAY_TABLE"),
        ("settings.seal_keys()", "PAYRELAY_SEAL_KEYS"),
        (
            "settings.operator_key_hash()",
            "PAYRELAY_OPERATOR_KEY_SHA256",
        ),
        ("settings.allow_targets()", "PAYRELAY_ALLOW_TARGETS"),
        ("settings.own_hosts()", "PAYRELAY_OWN_HOSTS"),
        ("settings.retention()", "PAYRELAY_RETENTION_DAYS"),
    ];
    let mut names: BTreeSet<String> = readers
        .iter()
        .filter(|(call, _)| main.contains(call))
        .map(|(_, name)| (*name).to_owned())
        .collect();
    for queue in Queue::ALL {
        let (wanted, upper) = (title(queue.as_str()), upper(queue.as_str()));
        let all = main.contains("Queue::ALL.map(|queue|settings.queue(queue))");
        if all || main.contains(&format!("settings.queue(Queue::{wanted})")) {
            names.insert(format!("PAYRELAY_QUEUE_{upper}"));
        }
        if main.contains("settings.dead_letters(queue)") {
            names.insert(format!("PAYRELAY_DEAD_{upper}"));
        }
    }
    names
}

#[test]
fn each_function_is_given_exactly_the_settings_that_it_reads() {
    let template = read("infra/template.yaml");
    for function in FUNCTIONS {
        let given: BTreeSet<String> = resource(&template, &format!("{}Function", title(function)))
            .lines()
            .filter_map(|line| line.trim().split_once(':').map(|(name, _)| name.to_owned()))
            .filter(|name| name.starts_with("PAYRELAY_"))
            .collect();
        let wanted = read_by(&read(format!("functions/{function}/src/main.rs")));
        assert_eq!(
            given, wanted,
            "environment of {function}: template (left) and main.rs (right)"
        );
    }
}

#[test]
fn queues_are_as_the_in_process_ones_and_visible_six_times_as_long_as_their_function_runs() {
    let template = read("infra/template.yaml");
    for queue in Queue::ALL {
        let (name, spec) = (title(queue.as_str()), Spec::of(queue));
        let resource_of_queue = resource(&template, &format!("{name}Queue"));
        let function = resource(&template, &format!("{}Function", reader(queue)));
        assert!(
            function.contains(&format!("Queue: !GetAtt {name}Queue.Arn\n")),
            "{name} is read by its function"
        );
        let timeout = number(&function, "Timeout");
        let visibility = number(&resource_of_queue, "VisibilityTimeout");
        assert!(
            visibility >= 6 * timeout,
            "{name}: visibility {visibility} s, timeout {timeout} s"
        );
        assert_eq!(visibility, spec.visibility.as_secs(), "{name}: visibility");
        assert_eq!(
            number(&resource_of_queue, "maxReceiveCount"),
            i64::from(spec.max_receive),
            "{name}"
        );
        let suffix = if spec.fifo { ".fifo" } else { "" };
        assert!(resource_of_queue.contains(&format!(
            "QueueName: !Sub ${{AWS::StackName}}-{}{suffix}\n",
            queue.as_str()
        )));
        let dead = resource(&template, &format!("{name}DeadQueue"));
        let high_throughput = [
            "FifoQueue: true",
            "DeduplicationScope: messageGroup",
            "FifoThroughputLimit: perMessageGroupId",
        ];
        for it in [&resource_of_queue, &dead] {
            for line in high_throughput {
                assert_eq!(it.contains(line), spec.fifo, "{name}: {line}");
            }
        }
        assert_eq!(
            number(&dead, "MessageRetentionPeriod"),
            14 * 24 * 3600,
            "{name}: dead letters are kept 14 days"
        );
    }
}

#[test]
fn what_a_platform_is_asked_fits_its_function() {
    let template = read("infra/template.yaml");
    let recover = number(&resource(&template, "RecoverFunction"), "Timeout");
    let code = read("functions/recover/src/enrich.rs");
    let most = "ASKING_MOST: SignedDuration = SignedDuration::from_secs(20)";
    assert!(code.contains(most) && recover >= 25, "recover {recover} s");
}

#[test]
fn a_try_fits_its_function_and_a_sweep_its_minute() {
    let template = read("infra/template.yaml");
    let deliver = number(&resource(&template, "DeliverFunction"), "Timeout");
    let batch = read("shared/src/queue/batch.rs");
    assert!(batch.contains("BEGUN_MOST: SignedDuration = SignedDuration::from_secs(5)"));
    assert!(
        deliver >= DEADLINE_MOST.as_secs() + 5 + 5,
        "a try may take {DEADLINE_MOST} and begin 5 s after its batch, deliver {deliver} s"
    );
    let sweep = number(&resource(&template, "SweepFunction"), "Timeout");
    assert!(sweep < 60, "a sweep ends before the next one begins");
    let most = read("functions/sweep/src/pages.rs");
    assert!(
        most.contains("TIME_MOST: SignedDuration = SignedDuration::from_secs(40)") && sweep >= 45
    );
}

#[test]
fn quarantine_is_alarmed_by_the_field_that_the_code_logs() {
    let template = read("infra/template.yaml");
    assert!(
        template.contains("quarantine.id"),
        "the metric filters match the field `quarantine.id`"
    );
    for file in [
        "shared/src/queue/batch.rs",
        "functions/sweep/src/handler.rs",
    ] {
        assert!(
            read(file).contains("quarantine.id ="),
            "{file} logs the field `quarantine.id`"
        );
    }
}

#[test]
fn what_a_door_refuses_is_alarmed_by_the_line_that_the_code_logs() {
    let template = read("infra/template.yaml");
    for (function, line) in [("ingest", "webhook refused"), ("publish", "events refused")] {
        let name = title(function);
        let filter = resource(&template, &format!("{name}Refusal"));
        assert!(
            filter.contains(&format!("FilterPattern: '\"{line}\"'"))
                && filter.contains(&format!("LogGroupName: !Ref {name}Logs")),
            "{name}Refusal counts the line `{line}` of {function}"
        );
        let metric = filter
            .split_once("MetricName: ")
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(metric, _)| metric);
        let alarm = resource(&template, &format!("{name}RefusalAlarm"));
        assert!(
            metric.is_some_and(|metric| alarm.contains(&format!("MetricName: {metric}\n"))),
            "{name}RefusalAlarm looks at what {name}Refusal counts"
        );
        let code = read(format!("functions/{function}/src/handler.rs"));
        assert_eq!(
            code.matches(&format!("\"{line}\"")).count(),
            1,
            "{function} logs `{line}` once for each request"
        );
    }
}

#[test]
fn what_a_platform_does_not_tell_or_take_is_alarmed_by_the_line_that_the_code_logs() {
    let template = read("infra/template.yaml");
    let cases = [
        ("RecoverNotEnriched", "enrich", "notification not enriched"),
        ("RecoverNotRecorded", "record_back", "record-back failed"),
    ];
    for (name, file, line) in cases {
        let filter = resource(&template, name);
        assert!(
            filter.contains(&format!("FilterPattern: '\"{line}\"'"))
                && filter.contains("LogGroupName: !Ref RecoverLogs"),
            "{name} counts the line `{line}` of recover"
        );
        let metric = filter
            .split_once("MetricName: ")
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(metric, _)| metric);
        let alarm = resource(&template, &format!("{name}Alarm"));
        assert!(
            metric.is_some_and(|metric| alarm.contains(&format!("MetricName: {metric}\n"))),
            "{name}Alarm looks at what {name} counts"
        );
        let code = read(format!("functions/recover/src/{file}.rs"));
        assert!(
            code.contains(&format!("\"{line}\"")),
            "recover logs `{line}`"
        );
    }
}

/// The queues that a function's code makes tasks for. `console` redrives whatever was set aside, so it needs all.
fn sends(function: &str) -> BTreeSet<Queue> {
    let makers = [
        ("Task::Signal(SignalTask{", Queue::Recover),
        ("Task::Thin(ThinTask{", Queue::Recover),
        ("Task::Ignored(IgnoredTask{", Queue::Recover),
        ("Task::Lever(LeverTask{", Queue::Recover),
        ("Task::RecordBack(RecordBackTask{", Queue::Recover),
        ("Task::Publish(PublishTask{", Queue::Fanout),
        ("Task::Deliver(DeliverTask{", Queue::Deliver),
        ("Task::resume(", Queue::Deliver),
        ("Task::resume(", Queue::DeliverOrdered),
        ("CallbackTask::first(", Queue::DeliverOrdered),
        ("Task::Callback(CallbackTask{", Queue::DeliverOrdered),
    ];
    let code: String = files(&format!("functions/{function}/src"), ".rs")
        .iter()
        .map(|file| read(file).split_whitespace().collect::<String>())
        .collect();
    makers
        .iter()
        .filter(|(maker, _)| code.contains(maker))
        .map(|(_, queue)| *queue)
        .chain(Queue::ALL.into_iter().filter(|_| function == "console"))
        .collect()
}

#[test]
fn each_function_may_send_to_exactly_the_queues_that_it_makes_tasks_for() {
    let template = read("infra/template.yaml");
    for function in FUNCTIONS {
        let role = resource(&template, &format!("{}Role", title(function)));
        let (_, send) = role.split_once("- Sid: Send\n").unwrap_or_default();
        let send = send.split("- Sid:").next().unwrap_or_default();
        let may: BTreeSet<String> = send
            .lines()
            .filter_map(|line| line.split_once("!GetAtt ")?.1.strip_suffix("Queue.Arn"))
            .map(str::to_owned)
            .collect();
        let sends = sends(function);
        let names = sends.iter().map(|queue| title(queue.as_str()));
        assert_eq!(
            may,
            names.collect(),
            "{function}: template (left) and code (right)"
        );
        let main = read(format!("functions/{function}/src/main.rs"));
        for queue in &sends {
            let name = format!("PAYRELAY_QUEUE_{}", upper(queue.as_str()));
            assert!(read_by(&main).contains(&name), "{function} reads {name}");
        }
    }
}

/// What stands in `code` for the field `alarm` of a line that is logged.
fn alarms(code: &str) -> BTreeSet<String> {
    let named = code.split("alarm = \"").skip(1);
    named
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_needs_somebody_is_alarmed_by_the_field_that_the_code_logs_and_explained() {
    let template = read("infra/template.yaml");
    let alarm = resource(&template, "NeedsSomebodyAlarm");
    assert!(alarm.contains("MetricName: NeedsSomebody\n"), "{alarm}");
    let readme = read("infra/README.md");
    let row = readme
        .lines()
        .find(|line| line.starts_with("| `needs-somebody` |"));
    let row = row.expect("infra/README.md explains the alarm `needs-somebody`");
    let mut all = BTreeSet::new();
    for function in FUNCTIONS {
        let code = files(&format!("functions/{function}/src"), ".rs");
        let logged: BTreeSet<_> = code.iter().flat_map(|file| alarms(&read(file))).collect();
        if logged.is_empty() {
            continue;
        }
        let name = title(function);
        let filter = resource(&template, &format!("{name}NeedsSomebody"));
        assert!(
            filter.contains("FilterPattern: '{ $.alarm = \"*\" }'")
                && filter.contains("MetricName: NeedsSomebody,")
                && filter.contains(&format!("LogGroupName: !Ref {name}Logs")),
            "{name}NeedsSomebody counts the lines of {function} with the field `alarm`"
        );
        all.extend(logged);
    }
    assert!(all.contains("unknown_outcome") && all.contains("invalid_signal"));
    for alarm in all {
        assert!(row.contains(&format!("`{alarm}`:")), "{alarm} in {row}");
    }
}

#[test]
fn the_receivers_template_gives_its_parts_what_they_read_and_keeps_what_they_promise() {
    let template = read("infra/receiver.yaml");
    let settings = read("functions/receiver/src/settings.rs");
    let code = settings.split("#[cfg(test)]").next().unwrap_or_default();
    let named = |text: &str| -> BTreeSet<String> {
        let names = text.split("\"RECEIVER_").skip(1);
        names
            .filter_map(|rest| rest.split('"').next())
            .filter(|name| !name.contains(' '))
            .map(|name| format!("RECEIVER_{name}"))
            .collect()
    };
    let given = |function: &str| -> BTreeSet<String> {
        resource(&template, function)
            .lines()
            .filter_map(|line| line.trim().split_once(':').map(|(name, _)| name.to_owned()))
            .filter(|name| name.starts_with("RECEIVER_"))
            .collect()
    };
    let (before, rest) = code.split_once("\nfn door(").unwrap_or_default();
    let (door, worker) = rest.split_once("\nfn worker(").unwrap_or_default();
    for (function, reads) in [("DoorFunction", door), ("WorkerFunction", worker)] {
        let reads = named(before).union(&named(reads)).cloned().collect();
        assert_eq!(given(function), reads, "environment of {function}");
    }

    let queue = resource(&template, "EventQueue");
    let timeout = number(&resource(&template, "WorkerFunction"), "Timeout");
    assert!(number(&queue, "VisibilityTimeout") >= 6 * timeout);
    let spec = receiver::inprocess::SPEC;
    assert_eq!(
        number(&queue, "VisibilityTimeout"),
        spec.visibility.as_secs()
    );
    assert_eq!(
        number(&queue, "maxReceiveCount"),
        i64::from(spec.max_receive)
    );
    assert!(spec.fifo && queue.contains("FifoQueue: true"));
    let table = resource(&template, "HandledTable");
    let adapter = read("functions/receiver/src/aws.rs");
    for (name, attribute) in [("ID", "id"), ("EXPIRES_AT", "expires_at")] {
        assert!(adapter.contains(&format!("const {name}: &str = \"{attribute}\";")));
        assert!(table.contains(&format!("AttributeName: {attribute}")));
    }
    let days = number(&resource(&template, "RememberDays"), "MinValue");
    assert_eq!(days, receiver::settings::REMEMBER_DAYS_LEAST);
}
