//! The guide's own examples, the shapes of the template's alarms, and each of them fed with what it watches.

use super::*;
use crate::sample::at;

/// A template with one alarm on the queue's age, of so many data points of so many periods.
fn template(to_alarm: u16, periods: u16, missing: &str) -> String {
    format!(
        "Resources-before: x\nResources:\n  Age:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      AlarmName: !Sub \
         ${{AWS::StackName}}-age\n      Namespace: AWS/SQS\n      MetricName: Age\n      Dimensions: [{{ Name: QueueName, Value: \
         !GetAtt Queue.QueueName }}]\n      Statistic: Maximum\n      Period: 60\n      EvaluationPeriods: {periods}\n      \
         DatapointsToAlarm: {to_alarm}\n      Threshold: 10\n      ComparisonOperator: GreaterThanOrEqualToThreshold\n      \
         TreatMissingData: {missing}\n\nOutputs:\n"
    )
}

fn one(template: &str) -> Alarm {
    let alarms = template::alarms(template, FrontDoor::HttpApi).expect("it can be evaluated");
    alarms.into_iter().next().expect("there is one")
}

/// One point a minute, the last of them a second before the end: `X` breaches, `0` does not, `-` is missing.
fn points(metric: &Metric, points: &str, end: Timestamp) -> Metrics {
    let mut metrics = Metrics::default();
    for (back, point) in points.split(' ').rev().enumerate() {
        let back = i64::try_from(back).expect("few") * 60 + 1;
        let value = match point {
            "X" => 10,
            "0" => 9,
            _ => continue,
        };
        metrics.put(metric.clone(), end - SignedDuration::from_secs(back), value);
    }
    metrics
}

#[test]
fn missing_data_is_treated_as_in_the_tables_of_the_user_guide() {
    use State::{Alarm, Ok};
    let cases = [
        (3, "0 - X - X", Ok, Ok),
        (3, "0 - - - -", Ok, Ok),
        (3, "- - - - -", Alarm, Ok),
        (3, "0 X X - X", Alarm, Alarm),
        (3, "- - - - X", Alarm, Ok),
        (3, "X - - - -", Alarm, Ok),
        (2, "0 - X - X", Alarm, Alarm),
        (2, "0 0 X 0 X", Alarm, Alarm),
        (2, "0 - X - -", Alarm, Ok),
        (2, "- - - - 0", Alarm, Ok),
        (2, "- - - - X", Alarm, Ok),
    ];
    for (to_alarm, data, breaching, not_breaching) in cases {
        for (missing, want) in [("breaching", breaching), ("notBreaching", not_breaching)] {
            let alarm = one(&template(to_alarm, 3, missing));
            let metric = Metric::new("AWS/SQS", "Age", "Queue");
            let metrics = points(&metric, data, at(3_600));
            assert_eq!(
                alarm.at(&metrics, at(3_600)),
                want,
                "{to_alarm} of 3, {data}, {missing}"
            );
        }
    }
}

#[test]
fn an_alarm_goes_off_at_the_minute_when_its_periods_are_full() {
    let alarm = one(&template(3, 3, "notBreaching"));
    let metric = Metric::new("AWS/SQS", "Age", "Queue");
    let metrics = points(&metric, "0 0 X X X X 0", at(420));
    assert_eq!(alarm.first(&metrics, at(0), at(600)), Some(at(300)));
    assert_eq!(alarm.at(&metrics, at(420)), State::Ok);
    assert_eq!(alarm.first(&metrics, at(0), at(240)), None);
}

#[test]
fn what_was_put_within_a_period_is_added_or_the_largest_counts() {
    let ours = ours(FrontDoor::HttpApi).expect("all can be evaluated");
    let find = |name: &str| ours.iter().find(|alarm| alarm.name == name).expect(name);
    let mut metrics = Metrics::default();
    let door = Metric::new("AWS/ApiGateway", "5xx", "HttpApi");
    for second in [0, 100, 200, 299] {
        metrics.put(door.clone(), at(second), 1);
    }
    assert_eq!(find("door-5xx").at(&metrics, at(300)), State::Ok);
    metrics.put(door, at(299), 1);
    assert_eq!(find("door-5xx").at(&metrics, at(300)), State::Alarm);
    let age = Metric::new("AWS/SQS", "ApproximateAgeOfOldestMessage", "FanoutQueue");
    for second in 0..300 {
        metrics.put(age.clone(), at(second), 299);
    }
    assert_eq!(find("fanout-age").at(&metrics, at(300)), State::Ok);
}

#[test]
fn a_share_is_of_the_calls_that_there_were() {
    let ours = ours(FrontDoor::HttpApi).expect("all can be evaluated");
    let alarm = ours.iter().find(|alarm| alarm.name == "fanout-errors");
    let alarm = alarm.expect("it is there");
    let cases = [
        (100, 5, State::Ok),
        (100, 6, State::Alarm),
        (19, 1, State::Alarm),
        (20, 1, State::Ok),
        (0, 1, State::Ok),
    ];
    for (calls, errors, want) in cases {
        let mut metrics = Metrics::default();
        for second in [100, 400] {
            for (name, value) in [("Invocations", calls), ("Errors", errors)] {
                let metric = Metric::new("AWS/Lambda", name, "FanoutFunction");
                metrics.put(metric, at(second), value);
            }
        }
        assert_eq!(alarm.at(&metrics, at(600)), want, "{errors} of {calls}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let good = template(3, 3, "notBreaching");
    for (from, to) in [
        ("Statistic: Maximum", "Statistic: Average"),
        (
            "GreaterThanOrEqualToThreshold",
            "LessThanOrEqualToThreshold",
        ),
        ("notBreaching", "missing"),
        ("DatapointsToAlarm: 3", "DatapointsToAlarm: 4"),
        ("Threshold: 10", "Threshold: ten"),
    ] {
        let bad = good.replace(from, to);
        let refused = template::alarms(&bad, FrontDoor::HttpApi).expect_err(to);
        assert!(
            format!("{refused:#}").contains("the alarm Age"),
            "{refused:#}"
        );
    }
}
