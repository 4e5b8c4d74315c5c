//! The report as one page that needs nothing else: verdict, key figures, charts, tables. Style, script and pictures are in
//! it, and its policy lets a browser fetch nothing.
//!
//! `charts` says which charts there are, `chart` draws one, `scale` places values along an axis, `text` writes them.

mod chart;
mod charts;
mod scale;
mod tables;
pub(super) mod text;

use self::text::{Unit, escape, number};
use super::Report;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("hover.js");

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let charts = charts::render(report);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} – Roomcast load test</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{}{}{}{}<h2>Charts</h2>\n<div class=\"charts\">\n{charts}</div>\n\
         <h2>Details</h2>\n<div class=\"tables\">\n{}</div>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        if report.passed() { "Passed" } else { "Failed" },
        head(report),
        verdict(report),
        notes(report),
        figures(report),
        tables::render(report),
    )
}

fn head(report: &Report) -> String {
    let agents = if report.agents > 1 { format!(" · {} generators", report.agents) } else { String::new() };
    let line = format!("{} · {}{agents}", report.started_at, report.host.cpu);
    format!(
        "<header><h1>Roomcast load test</h1><p>{}</p><p>{}</p></header>\n",
        escape(&what_ran(report)),
        escape(&line)
    )
}

/// The run in a line.
fn what_ran(report: &Report) -> String {
    let count = |flag: &str| report.settings[flag].as_f64().map(number).unwrap_or_default();
    let text = |flag: &str| report.settings[flag].as_str().unwrap_or_default().to_owned();
    let url = text("url");
    if report.settings["churn"].is_u64() {
        return format!("{} connects and closes, {} at a time · {url}", count("churn"), count("connections"));
    }
    let joined = format!("{} connections in {} rooms", count("connections"), count("rooms"));
    if report.settings["idle"] == true {
        return format!("{joined}, idle · {url}");
    }
    if let Some(ramp) = &report.ramp {
        return format!("search of the {}, {} tried · {joined} · {url}", text("ramp_what"), ramp.steps.len());
    }
    let messages = format!("{} messages/s of {} bytes", count("rate"), count("payload_size"));
    format!("{} · {joined} · {messages} · {} · {url}", text("scenario"), text("dialect"))
}

fn verdict(report: &Report) -> String {
    let answer =
        report.ramp.as_ref().map(|ramp| format!("<p>{}</p>", escape(&ramp.sentence()))).unwrap_or_default();
    if report.passed() {
        let limits = report.thresholds.len();
        let kept = match limits {
            0 => "No connection failed or was closed.".to_owned(),
            1 => "The limit was kept, and no connection failed or was closed.".to_owned(),
            2 => "Both limits were kept, and no connection failed or was closed.".to_owned(),
            _ => format!("All {limits} limits were kept, and no connection failed or was closed."),
        };
        return format!(
            "<section class=\"verdict\"><strong>Passed</strong><p>{kept}</p>{answer}</section>\n"
        );
    }
    format!(
        "<section class=\"verdict failed\"><strong>Failed</strong>{}{answer}</section>\n",
        list(&report.failures)
    )
}

fn notes(report: &Report) -> String {
    if report.warnings.is_empty() {
        return String::new();
    }
    format!("<section class=\"notes\"><strong>To bear in mind</strong>{}</section>\n", list(&report.warnings))
}

fn list(texts: &[String]) -> String {
    let items: String = texts.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    format!("<ul>{items}</ul>")
}

/// Name, value, and what is said beside it.
type Figure = (&'static str, String, String);

fn figures(report: &Report) -> String {
    let figure = |(name, value, beside): Figure| {
        let beside = escape(&beside);
        format!("<div><dt>{name}</dt><dd>{}</dd><dd>{beside}</dd></div>", escape(&value))
    };
    let figures: String = key_figures(report).into_iter().map(figure).collect();
    format!("<dl class=\"figures\">{figures}</dl>\n")
}

fn key_figures(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    let ms = |value| Unit::Milliseconds.show(value);
    if let Some(traffic) = &report.traffic {
        let latency = &traffic.latency_ms;
        let sent = format!("{} messages sent", number(traffic.messages_sent as f64));
        figures.push(("Deliveries", Unit::PerSecond.show(traffic.deliveries_per_second), sent));
        figures.push(("Latency p50", ms(latency.p50), format!("p90 {}", ms(latency.p90))));
        figures.push(("Latency p99", ms(latency.p99), format!("p99.9 {}", ms(latency.p999))));
        figures.push(("Longest", ms(latency.max), format!("of {}", number(traffic.latencies as f64))));
        let faults = &traffic.faults;
        let others = faults.duplicates + faults.order + faults.misrouted + faults.malformed;
        figures.push(("Lost", number(faults.lost as f64), format!("{} other faults", number(others as f64))));
    }
    let connects = &report.connects;
    let pace = format!("{} connected", Unit::PerSecond.show(connects.per_second));
    figures.push(("Connections", number(connects.ready as f64), pace));
    if let Some(server) = &report.server {
        let share = Unit::Share.show(server.cpu_share);
        match server.cpu_us_per_delivery {
            Some(us) => figures.push(("Server CPU a delivery", ms(us / 1e3), format!("{share} of a core"))),
            None => figures.push(("Server CPU", share, format!("of a core, {:.2} s", server.cpu_seconds))),
        }
        let whole = Unit::Bytes.show(server.resident_bytes_after as f64);
        match server.bytes_per_connection {
            Some(bytes) => {
                let bytes = Unit::Bytes.show(bytes);
                figures.push(("Memory a connection", bytes, format!("{whole} in all")));
            }
            None => figures.push(("Server memory", whole, String::new())),
        }
    }
    let generator = &report.generator;
    let busy = if generator.bottleneck { "the bottleneck" } else { "with time to spare" };
    figures.push(("Generator CPU", Unit::Share.show(generator.cpu_share), busy.to_owned()));
    let (name, lag) = match report.traffic {
        Some(_) => ("Send lag p99", generator.send_lag_ms),
        None => ("Loop lag p99", generator.loop_lag_ms),
    };
    if lag.max > 0.0 {
        figures.push((name, ms(lag.p99), format!("max {}", ms(lag.max))));
    }
    figures
}
