//! Reads the alarms out of the template: its own way of writing them, not YAML at large.

use anyhow::{Context, Result, bail, ensure};
use jiff::SignedDuration;

use super::{Alarm, Comparison, Expression, FrontDoor, Metric, Series, Statistic};

/// The alarms of `template` behind a front door, in its order.
pub(super) fn alarms(template: &str, door: FrontDoor) -> Result<Vec<Alarm>> {
    let resources = template
        .split_once("\nResources:\n")
        .context("the template has resources")?
        .1;
    let mut alarms = Vec::new();
    for (name, text) in blocks(resources) {
        let is_alarm = field(&text, "Type") == Some("AWS::CloudWatch::Alarm");
        if is_alarm && there(&text, door)? {
            alarms.push(alarm(&text, door).with_context(|| format!("the alarm {name}"))?);
        }
    }
    Ok(alarms)
}

/// The resources by name, each with its lines, comments left out.
fn blocks(resources: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in resources.lines() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        if !line.is_empty() && !line.starts_with(' ') {
            break;
        }
        let head = line
            .strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '))
            .and_then(|rest| rest.strip_suffix(':'));
        match (head, blocks.last_mut()) {
            (Some(name), _) => blocks.push((name.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Whether a resource is there behind a front door.
fn there(text: &str, door: FrontDoor) -> Result<bool> {
    Ok(match field(text, "Condition") {
        None => true,
        Some("UseHttpApi") => door == FrontDoor::HttpApi,
        Some("UseFunctionUrl") => door == FrontDoor::FunctionUrl,
        Some(other) => bail!("the condition {other} is not known here"),
    })
}

fn alarm(text: &str, door: FrontDoor) -> Result<Alarm> {
    let name = resolved(field(text, "AlarmName").context("no AlarmName")?, door)?;
    let (series, expression) = match text.split_once("Metrics:") {
        None => (vec![series(text, "Statistic", door)?], Expression::Sum),
        Some((_, metrics)) => expression(metrics, door)?,
    };
    let periods = number(text, "EvaluationPeriods")?;
    let to_alarm = match field(text, "DatapointsToAlarm") {
        None => usize::from(periods),
        Some(_) => number(text, "DatapointsToAlarm")?,
    };
    ensure!(
        (1..=usize::from(periods)).contains(&to_alarm),
        "DatapointsToAlarm is {to_alarm} of {periods}"
    );
    Ok(Alarm {
        name: name.trim_start_matches('-').to_owned(),
        series,
        expression,
        comparison: match field(text, "ComparisonOperator") {
            Some("GreaterThanThreshold") => Comparison::Greater,
            Some("GreaterThanOrEqualToThreshold") => Comparison::GreaterOrEqual,
            Some("LessThanThreshold") => Comparison::Less,
            other => bail!("the comparison {other:?} has to be taught here"),
        },
        threshold: number(text, "Threshold")?,
        periods,
        to_alarm,
        missing_breaches: match field(text, "TreatMissingData") {
            Some("notBreaching") => false,
            Some("breaching") => true,
            other => bail!("the treatment {other:?} of missing data has to be taught here"),
        },
    })
}

/// The metrics of an alarm on an expression, in the order in which the expression needs them.
fn expression(metrics: &str, door: FrontDoor) -> Result<(Vec<Series>, Expression)> {
    let items: Vec<(&str, &str)> = metrics
        .split("- Id: ")
        .skip(1)
        .filter_map(|item| item.split_once('\n'))
        .collect();
    let (watched, computed): (Vec<_>, Vec<_>) = items
        .iter()
        .partition(|(_, text)| text.contains("MetricStat:"));
    let [(_, computed)] = computed.as_slice() else {
        bail!("an alarm compares one expression");
    };
    // CloudWatch takes no more of them.
    ensure!(
        watched.len() <= 10,
        "an expression of an alarm has at most 10 metrics"
    );
    let of = |id: &str| -> Result<Series> {
        let found = watched.iter().find(|(other, _)| *other == id);
        let (_, text) = found.with_context(|| format!("there is no metric {id}"))?;
        series(text, "Stat", door)
    };
    let expression = field(computed, "Expression").context("no Expression")?;
    if expression == "SUM(METRICS())" {
        let all: Result<Vec<_>> = watched.iter().map(|(id, _)| of(id)).collect();
        return Ok((all?, Expression::Sum));
    }
    let percent = expression
        .strip_prefix("100 * ")
        .and_then(|rest| rest.split_once(" / "));
    let (part, whole) =
        percent.with_context(|| format!("the expression {expression} has to be taught here"))?;
    ensure!(watched.len() == 2, "{expression} has two metrics");
    Ok((vec![of(part)?, of(whole)?], Expression::Percent))
}

fn series(text: &str, statistic: &str, door: FrontDoor) -> Result<Series> {
    let resolved = |key: &str| {
        let value = field(text, key).with_context(|| format!("no {key}"))?;
        resolved(value, door)
    };
    let parts: Result<Vec<String>> = fields(text, "Value")
        .map(|value| self::resolved(value, door))
        .collect();
    Ok(Series {
        metric: Metric {
            namespace: resolved("Namespace")?.trim_end_matches('/').to_owned(),
            name: resolved("MetricName")?,
            of: parts?.join("/"),
        },
        statistic: match field(text, statistic) {
            Some("Sum") => Statistic::Sum,
            Some("Maximum") => Statistic::Maximum,
            other => bail!("the statistic {other:?} has to be taught here"),
        },
        period: SignedDuration::from_secs(number(text, "Period")?),
    })
}

/// The values of a key, wherever it stands: on a line of its own or within braces.
fn fields<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let head = format!("{key}: ");
    text.match_indices(&head.clone())
        .filter(|(at, _)| {
            let before = text.get(..*at).unwrap_or_default();
            before.ends_with([' ', '\n', '{'])
        })
        .map(|(at, head)| value(text.get(at + head.len()..).unwrap_or_default()))
        .collect::<Vec<_>>()
        .into_iter()
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    fields(text, key).next()
}

/// A value up to its end: that of the line, or the comma or brace after it.
fn value(rest: &str) -> &str {
    let mut depth = 0_i32;
    let end = rest.find(|c| {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            _ => {}
        }
        c == '\n' || depth < 0 || (c == ',' && depth == 0)
    });
    rest.get(..end.unwrap_or(rest.len()))
        .unwrap_or_default()
        .trim()
}

fn number<N: TryFrom<i64>>(text: &str, key: &str) -> Result<N> {
    let value = field(text, key).with_context(|| format!("no {key}"))?;
    let number: i64 = value.parse().with_context(|| format!("{key} is {value}"))?;
    N::try_from(number).map_err(|_| anyhow::anyhow!("{key} is {number}"))
}

/// A value with its functions applied: a resource is its name, the stack's name is left out.
fn resolved(value: &str, door: FrontDoor) -> Result<String> {
    if let Some(rest) = value.strip_prefix("!If [") {
        let rest = rest.strip_suffix(']').context("!If has a list")?;
        let parts: Vec<&str> = rest.splitn(3, ", ").collect();
        return match (parts.as_slice(), door) {
            (["UseHttpApi", yes, _], FrontDoor::HttpApi)
            | (["UseHttpApi", _, yes], FrontDoor::FunctionUrl) => resolved(yes, door),
            _ => bail!("{value} is not known here"),
        };
    }
    if let Some(resource) = value.strip_prefix("!Ref ") {
        return Ok(resource.to_owned());
    }
    if let Some(attribute) = value.strip_prefix("!GetAtt ") {
        let resource = attribute.split('.').next().unwrap_or(attribute);
        return Ok(resource.to_owned());
    }
    let text = value.strip_prefix("!Sub ").unwrap_or(value);
    Ok(text.trim_matches('"').replace("${AWS::StackName}", ""))
}
