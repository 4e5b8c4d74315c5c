//! The page's tables: limits, windows of a search, counts, the flags, the machine.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text::{Unit, escape, number};
use crate::measure::Percentiles;
use crate::report::nodes::HEADS;
use crate::report::table::Rows;
use crate::report::{NodeReport, Report};

/// All tables that have rows.
pub(super) fn render(report: &Report) -> String {
    [
        limits(report),
        windows(report),
        scenario(report),
        counts(report),
        nodes(report),
        lag(report),
        settings(report),
        machine(report),
    ]
    .concat()
}

/// A table of texts; nothing when it has no rows.
fn table(title: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heads =
        heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escape(head))).collect::<String>();
    let heads = if heads.is_empty() { heads } else { format!("<thead><tr>{heads}</tr></thead>") };
    let cell = |(at, text): (usize, &String)| {
        let class = match text.as_str() {
            "kept" | "passed" => " class=\"ok\"",
            "exceeded" | "failed" => " class=\"no\"",
            _ => "",
        };
        let text = escape(text);
        if at == 0 { format!("<th scope=\"row\">{text}</th>") } else { format!("<td{class}>{text}</td>") }
    };
    let rows: String = rows
        .iter()
        .map(|row| format!("<tr>{}</tr>", row.iter().enumerate().map(cell).collect::<String>()))
        .collect();
    format!(
        "<section><h2>{}</h2><div class=\"scroll\"><table>{heads}<tbody>{rows}</tbody></table></div></section>\n",
        escape(title)
    )
}

fn limits(report: &Report) -> String {
    let row = |threshold: &crate::report::Threshold| {
        vec![
            threshold.of.clone(),
            number(threshold.limit),
            threshold.found.map_or_else(|| "not measured".to_owned(), number),
            if threshold.passed { "kept" } else { "exceeded" }.to_owned(),
        ]
    };
    let rows: Vec<_> = report.thresholds.iter().map(row).collect();
    table("Limits", &["of", "limit", "found", ""], &rows)
}

fn windows(report: &Report) -> String {
    let Some(ramp) = &report.ramp else { return String::new() };
    let rows = ramp.steps.iter().map(|step| {
        vec![
            number(ramp.value_of(step) as f64),
            Unit::PerSecond.show(step.deliveries_per_second),
            Unit::Milliseconds.show(step.latency_ms.p99),
            if step.passed() { "passed" } else { "failed" }.to_owned(),
        ]
    });
    table("Windows of the search", &["tried", "deliveries", "p99", ""], &rows.collect::<Vec<_>>())
}

fn counts(report: &Report) -> String {
    let mut rows = Vec::new();
    let mut add = |name: &str, count: u64| rows.push(vec![name.to_owned(), number(count as f64)]);
    add("connected", report.connects.ready);
    add("connects that failed", report.connects.failed);
    if let Some(traffic) = &report.traffic {
        add("messages sent", traffic.messages_sent);
        add("messages that could not be sent", traffic.messages_unsent);
        add("messages seen by nobody", traffic.messages_unseen);
        add("deliveries", traffic.deliveries);
        add("lost", traffic.faults.lost);
        add("duplicates", traffic.faults.duplicates);
        add("order faults", traffic.faults.order);
        add("misrouted", traffic.faults.misrouted);
        add("malformed", traffic.faults.malformed);
    }
    add("other messages", report.other_messages);
    if let Some(slow) = &report.slow_consumers {
        add("slow consumers", slow.count as u64);
        named(&mut rows, "slow consumers closed", &slow.closes);
    }
    named(&mut rows, "failed", &report.connects.failures);
    named(&mut rows, "closed", &report.closes);
    named(&mut rows, "server errors", &report.errors);
    table("Counts", &[], &rows)
}

/// What only some scenarios find, worded as in the terminal.
fn scenario(report: &Report) -> String {
    let mut rows = Rows::default();
    report.scenario_rows(&mut rows);
    let rows: Vec<_> = rows.0.into_iter().map(|(name, value)| vec![name, value]).collect();
    table("What the scenario found", &[], &rows)
}

/// Several servers beside each other.
fn nodes(report: &Report) -> String {
    let row =
        |node: &NodeReport| [node.address.clone()].into_iter().chain(node.columns()).collect::<Vec<_>>();
    let rows: Vec<_> = report.nodes.iter().map(row).collect();
    let heads: Vec<_> = ["server"].into_iter().chain(HEADS).collect();
    table("Servers", &heads, &rows)
}

fn named(rows: &mut Vec<Vec<String>>, what: &str, counts: &BTreeMap<String, u64>) {
    rows.extend(counts.iter().map(|(name, count)| vec![format!("{what}: {name}"), number(*count as f64)]));
}

fn lag(report: &Report) -> String {
    let row = |name: &str, ms: &Percentiles| {
        let values = [ms.p50, ms.p90, ms.p99, ms.p999, ms.max].map(|ms| Unit::Milliseconds.show(ms));
        [vec![name.to_owned()], values.to_vec()].concat()
    };
    let mut rows = Vec::new();
    if report.connects.latency.latencies > 0 {
        rows.push(row("connecting", &report.connects.latency.latency_ms));
    }
    if let Some(traffic) = &report.traffic {
        rows.push(row("latency", &traffic.latency_ms));
        rows.push(row("send lag", &report.generator.send_lag_ms));
    }
    if report.generator.loop_lag_ms.max > 0.0 {
        rows.push(row("loop lag", &report.generator.loop_lag_ms));
    }
    table("Percentiles", &["", "p50", "p90", "p99", "p99.9", "max"], &rows)
}

fn settings(report: &Report) -> String {
    let Some(flags) = report.settings.as_object() else { return String::new() };
    let rows = flags.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Null | Value::Bool(false) => return None,
            Value::String(text) => text.clone(),
            Value::Number(value) => value.as_f64().map_or_else(|| value.to_string(), number),
            other => other.to_string(),
        };
        Some(vec![format!("--{}", name.replace('_', "-")), value])
    });
    table("Settings", &[], &rows.collect::<Vec<_>>())
}

fn machine(report: &Report) -> String {
    let host = &report.host;
    let rows = [
        ("CPU", host.cpu.clone()),
        ("CPUs", host.cpus.to_string()),
        ("memory", Unit::Bytes.show(host.memory_bytes as f64)),
        ("kernel", host.kernel.clone()),
        ("load generator", report.version.clone()),
        ("begun", report.started_at.clone()),
    ];
    table("Machine of the generator", &[], &rows.map(|(name, value)| vec![name.to_owned(), value]))
}
