//! A plan as one page that needs nothing else: what is known and how, what ends first, and every window of the searches.

use std::fmt::Write as _;

use super::facts::Facts;
use super::limits::Basis;
use super::statement::{Sentence, Statement};
use crate::capacity::{RampReport, Step};

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--good:#1a7f5a;--bad:#c2410c;--soft:#8881}
body{font:16px/1.5 system-ui,sans-serif;margin:0}main{max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.5rem}ul{list-style:none;padding:0}
li{margin:.4rem 0;display:flex;gap:.75rem;align-items:baseline}
.basis{flex:0 0 7rem;font-size:.8rem;text-align:center;border:1px solid var(--line);border-radius:1rem}
.measured{border-color:var(--good);color:var(--good)}.unknown{border-color:var(--bad);color:var(--bad)}
.limits li{background:var(--soft);padding:.6rem 1rem;border-radius:.5rem}.limits strong{flex:0 0 14rem}
svg{width:100%;height:auto}svg text{font-size:12px;fill:currentColor}
.grid{stroke:var(--line)}.limit{stroke:var(--bad);stroke-dasharray:6 4}
.passed{fill:var(--good)}.failed{fill:none;stroke:var(--bad);stroke-width:2}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line)}td:last-child,th:last-child{text-align:left}
";
/// A chart's size, and the room around it for its labels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 15.0;

/// The whole page.
pub(super) fn render(facts: &Facts, statement: &Statement) -> String {
    let mut body = String::new();
    let out = &mut body;
    push(out, format_args!("<h1>What this machine holds</h1><p>{}</p>", escape(&facts.machine.cpu_model)));
    push(out, format_args!("<h2>What ends first</h2><ul class=\"limits\">"));
    for (of, text) in statement.first_limits() {
        push(out, format_args!("<li><strong>{}</strong><span>{}</span></li>", escape(of), escape(&text)));
    }
    push(out, format_args!("</ul><h2>What is known, and how</h2><ul>"));
    for Sentence { basis, text } in &statement.sentences {
        let basis = Basis::name(*basis);
        push(
            out,
            format_args!(
                "<li><span class=\"basis {basis}\">{basis}</span><span>{}</span></li>",
                escape(text)
            ),
        );
    }
    push(out, format_args!("</ul>"));
    let searches = [
        (format!("Rooms of {}", facts.room_size), &facts.rooms),
        (format!("One room of {}", facts.broadcast_size), &facts.broadcast),
    ];
    for (title, ramp) in searches {
        if let Some(ramp) = ramp {
            push(out, format_args!("<h2>{}</h2><p>{}</p>", escape(&title), escape(&ramp.sentence())));
            chart(out, ramp);
            table(out, ramp);
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>Roomcast capacity</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
}

/// Each window by what it delivered and how late, both on logarithmic scales; the limit is a line.
fn chart(out: &mut String, ramp: &RampReport) {
    let measured =
        || ramp.steps.iter().filter(|step| step.deliveries_per_second > 0.0 && step.latency_ms.p99 > 0.0);
    let x = Axis::new(measured().map(|step| step.deliveries_per_second), LEFT, WIDTH - 20.0);
    let limit = ramp.max_p99_ms;
    let y = Axis::new(measured().map(|step| step.latency_ms.p99).chain([limit]), HEIGHT - BOTTOM, TOP);
    let label = "The 99th percentile of latency in milliseconds over deliveries a second";
    push(out, format_args!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">"));
    let (right, floor) = (WIDTH - 20.0, HEIGHT - BOTTOM);
    for tick in x.ticks() {
        let at = x.place(tick);
        push(
            out,
            format_args!("<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{floor}\"/>"),
        );
        let text = short(tick);
        push(
            out,
            format_args!(
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}/s</text>",
                floor + 18.0
            ),
        );
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        push(
            out,
            format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
        );
        push(
            out,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick} ms</text>",
                LEFT - 6.0,
                at + 4.0
            ),
        );
    }
    let at = y.place(limit);
    push(
        out,
        format_args!("<line class=\"limit\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
    );
    push(
        out,
        format_args!(
            "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">p99 limit {limit} ms</text>",
            at - 5.0
        ),
    );
    for step in measured() {
        let class = if step.passed() { "passed" } else { "failed" };
        let (at_x, at_y) = (x.place(step.deliveries_per_second), y.place(step.latency_ms.p99));
        push(
            out,
            format_args!(
                "<circle class=\"{class}\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"5\"><title>{}</title></circle>",
                escape(&step.line())
            ),
        );
    }
    push(out, format_args!("</svg><p>{label}: a dot for each window, filled when it passed.</p>"));
}

fn table(out: &mut String, ramp: &RampReport) {
    push(
        out,
        format_args!(
            "<details><summary>All {} windows</summary><table><tr><th>messages/s</th><th>deliveries/s</th><th>p99</th><th>lost</th><th>server CPU</th><th>generator CPU</th><th>outcome</th></tr>",
            ramp.steps.len()
        ),
    );
    for step in &ramp.steps {
        let Step { rate, deliveries_per_second, latency_ms, faults, generator_cpu_share, .. } = step;
        let server = step
            .server
            .as_ref()
            .map_or("unknown".to_owned(), |server| format!("{:.0} %", server.cpu_share * 100.0));
        let causes: Vec<_> = step.causes.iter().map(ToString::to_string).collect();
        let outcome = if step.passed() { "passed".to_owned() } else { causes.join(", ") };
        push(
            out,
            format_args!(
                "<tr><td>{rate:.0}</td><td>{deliveries_per_second:.0}</td><td>{:.2} ms</td><td>{}</td><td>{server}</td><td>{:.0} %</td><td>{}</td></tr>",
                latency_ms.p99,
                faults.lost,
                generator_cpu_share * 100.0,
                escape(&outcome)
            ),
        );
    }
    push(out, format_args!("</table></details>"));
}

/// Whole powers of ten around some values, along a line of the picture.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        // Nothing to show is shown between one and ten.
        let (low, high) =
            if low.is_finite() { (low.log10().floor(), high.log10().ceil()) } else { (0.0, 1.0) };
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let powers = std::iter::successors(Some(self.low), |power| Some(power + 1.0));
        let high = self.high;
        powers.take_while(move |power| *power <= high).map(|power| 10_f64.powf(power))
    }
}

fn short(number: f64) -> String {
    match number {
        1e6.. => format!("{:.0} M", number / 1e6),
        1e3.. => format!("{:.0} k", number / 1e3),
        _ => format!("{number:.0}"),
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every write");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Cause;
    use crate::plan::limits_tests::{facts, ramp};

    #[test]
    fn the_page_shows_all_that_is_known_and_no_markup_of_others() {
        let mut facts = facts();
        facts.machine.cpu_model = "<b>&".to_owned();
        facts.rooms = Some(ramp(&[Cause::P99], |step| step.latency_ms.p99 = 80.0));
        if let Some(rooms) = &mut facts.rooms {
            rooms.steps[0].latency_ms.p99 = 3.0;
        }
        let page = render(&facts, &Statement::new(&facts));
        for part in [
            "&lt;b&gt;&amp;",
            "class=\"passed\"",
            "class=\"failed\"",
            "p99 limit 50 ms",
            "deliveries in small rooms",
            "basis measured",
            "ulimit -n",
        ] {
            assert!(page.contains(part), "{part:?} is missing: {page}");
        }
        assert!(!page.contains("<b>") && !page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn axes_are_whole_powers_of_ten() {
        let axis = Axis::new([3.0, 250.0].into_iter(), 0.0, 300.0);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!([1.0, 10.0, 1000.0].map(|value| axis.place(value)), [0.0, 100.0, 300.0]);
        assert_eq!(Axis::new(std::iter::empty(), 0.0, 1.0).ticks().count(), 2);
        assert_eq!([5.0, 20_000.0, 3e6].map(short), ["5", "20 k", "3 M"]);
    }
}
