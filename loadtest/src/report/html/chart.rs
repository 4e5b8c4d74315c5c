//! One chart: lines in an inline SVG that takes any shape, with its texts around it in HTML, so that they keep their size
//! on a narrow screen; and the values under the pointer as data for the page's script.

use std::fmt::Write as _;

use serde_json::json;

use super::scale::Scale;
use super::text::{Unit, escape};

/// The SVG's own width and height; the page stretches it.
const SIDE: f64 = 1000.0;

/// What a chart shows.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What it says in a sentence, for those who do not see it, and below the title.
    pub(super) summary: String,
    pub(super) wide: bool,
    pub(super) unit: Unit,
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) x_label: fn(f64) -> String,
    /// Where all lines have their points, in the units of `x`, and what is said of each place.
    pub(super) places: Vec<(f64, String)>,
    pub(super) lines: Vec<Line>,
    /// Parts of `x` to set off, with their names.
    pub(super) bands: Vec<(f64, f64, String)>,
    /// A value not to exceed, and its name.
    pub(super) limit: Option<(f64, String)>,
}

/// Values at the chart's places; none where nothing is known.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Number of the colour, from 1.
    pub(super) color: u8,
    pub(super) values: Vec<Option<f64>>,
    /// Whether the area below is filled.
    pub(super) filled: bool,
}

impl Line {
    /// A line without an area.
    pub(super) fn new(name: &'static str, color: u8, values: Vec<Option<f64>>) -> Self {
        Self { name, color, values, filled: false }
    }
}

impl Chart {
    /// The chart as HTML; nothing at all when no line has a value.
    pub(super) fn render(&self) -> String {
        if self.lines.iter().all(|line| line.values.iter().all(Option::is_none)) {
            return String::new();
        }
        let class = if self.wide { "chart wide" } else { "chart" };
        format!(
            "<figure class=\"{class}\">\n<figcaption><h3>{}</h3><p>{}</p></figcaption>\n{}\
             <div class=\"plot\"><div class=\"ys\" aria-hidden=\"true\">{}</div>\n<div class=\"area\">{}{}{}\
             <div class=\"cursor\" hidden></div></div>\n<div class=\"xs\" aria-hidden=\"true\">{}</div></div>\n\
             <script type=\"application/json\">{}</script>\n</figure>\n",
            escape(self.title),
            escape(&self.summary),
            self.legend(),
            self.y_labels(),
            self.band_names(),
            self.svg(),
            self.limit_name(),
            self.x_labels(),
            self.data(),
        )
    }

    fn legend(&self) -> String {
        let items: String = self
            .lines
            .iter()
            .map(|line| format!("<li class=\"c{}\">{}</li>", line.color, escape(line.name)))
            .collect();
        if self.lines.len() > 1 { format!("<ul class=\"legend\">{items}</ul>\n") } else { String::new() }
    }

    fn y_labels(&self) -> String {
        let label = |tick: &f64| {
            let text = escape(&self.unit.tick(*tick));
            format!("<span style=\"bottom:{:.2}%\">{text}</span>", self.y.place(*tick) * 100.0)
        };
        self.y.ticks.iter().map(label).collect()
    }

    fn x_labels(&self) -> String {
        let label = |tick: &f64| {
            let place = self.x.place(*tick) * 100.0;
            // Those at the ends lean inwards, lest they stick out.
            let class = match place {
                ..4.0 => " class=\"first\"",
                96.0.. => " class=\"last\"",
                _ => "",
            };
            format!("<span{class} style=\"left:{place:.2}%\">{}</span>", escape(&(self.x_label)(*tick)))
        };
        self.x.ticks.iter().map(label).collect()
    }

    fn band_names(&self) -> String {
        let name = |(from, to, name): &(f64, f64, String)| {
            let (left, right) = (self.x.place(*from), self.x.place(*to));
            let style = format!("left:{:.2}%;width:{:.2}%", left * 100.0, (right - left) * 100.0);
            // A name without room would say nothing.
            let shown = if right - left > 0.12 { escape(name) } else { String::new() };
            format!("<div class=\"band\" style=\"{style}\"><span>{shown}</span></div>")
        };
        self.bands.iter().map(name).collect()
    }

    fn limit_name(&self) -> String {
        match &self.limit {
            Some((limit, name)) if self.y.holds(*limit) => {
                let bottom = self.y.place(*limit) * 100.0;
                format!(
                    "<div class=\"limit\" style=\"bottom:{bottom:.2}%\"><span>{}</span></div>",
                    escape(name)
                )
            }
            _ => String::new(),
        }
    }

    fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {SIDE} {SIDE}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            escape(&format!("{}. {}", self.title, self.summary))
        );
        let mut draw = |class: &str, path: &str| {
            write!(svg, "<path class=\"{class}\" d=\"{path}\"/>").expect("a string takes everything");
        };
        let rows = self.y.ticks.iter().map(|tick| format!("M0 {:.1}H{SIDE}", self.row(*tick)));
        draw("grid", &rows.collect::<String>());
        let columns = self.x.ticks.iter().map(|tick| format!("M{:.1} 0V{SIDE}", self.column(*tick)));
        draw("grid", &columns.collect::<String>());
        for line in &self.lines {
            let (path, area) = self.paths(line);
            if line.filled {
                draw(&format!("fill c{}", line.color), &area);
            }
            draw(&format!("line c{}", line.color), &path);
        }
        svg.push_str("</svg>");
        svg
    }

    /// The line, and the area below it. A value without neighbours is a dot: a line of no length with round ends.
    fn paths(&self, line: &Line) -> (String, String) {
        let (mut path, mut area) = (String::new(), String::new());
        for run in
            line.values.iter().zip(&self.places).collect::<Vec<_>>().split(|(value, _)| value.is_none())
        {
            let spots: Vec<_> = run
                .iter()
                .filter_map(|(value, (x, _))| Some((self.column(*x), self.row((**value)?))))
                .collect();
            let Some(first) = spots.first() else { continue };
            let steps: String = spots.iter().map(|(x, y)| format!("L{x:.1} {y:.1}")).collect();
            path.push_str(&format!("M{:.1} {:.1}{steps}", first.0, first.1));
            area.push_str(&format!("M{:.1} {SIDE}{steps}V{SIDE}Z", first.0));
        }
        (path, area)
    }

    fn column(&self, x: f64) -> f64 {
        self.x.place(x) * SIDE
    }

    fn row(&self, y: f64) -> f64 {
        (1.0 - self.y.place(y)) * SIDE
    }

    /// What the script shows under the pointer. Markup in it stays text: the script sets it as such, and nothing in it
    /// can end the element.
    fn data(&self) -> String {
        let x: Vec<_> = self.places.iter().map(|(x, _)| (self.x.place(*x) * 1e4).round() / 1e4).collect();
        let heads: Vec<_> = self.places.iter().map(|(_, text)| text).collect();
        let lines = self.lines.iter().map(|line| {
            let values = line.values.iter().map(|value| value.map(|value| self.unit.show(value)));
            json!({ "name": line.name, "color": line.color, "values": values.collect::<Vec<_>>() })
        });
        let data = json!({ "x": x, "heads": heads, "lines": lines.collect::<Vec<_>>() });
        data.to_string().replace('<', "\\u003c")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: Vec<Option<f64>>) -> Chart {
        let places = (0..values.len()).map(|n| (n as f64, format!("</script> {n}"))).collect();
        Chart {
            title: "Things <over> time",
            summary: "a & b".to_owned(),
            wide: false,
            unit: Unit::Plain,
            x: Scale::time(0.0, 4.0),
            y: Scale::from_zero(values.iter().flatten().copied()),
            x_label: super::super::text::clock,
            places,
            lines: vec![Line { filled: true, ..Line::new("things", 1, values) }],
            bands: vec![(1.0, 3.0, "<phase>".to_owned())],
            limit: Some((5.0, "limit".to_owned())),
        }
    }

    #[test]
    fn gaps_are_gaps_and_lone_values_dots() {
        let html = chart(vec![Some(1.0), Some(2.0), None, Some(4.0), None]).render();
        let line =
            html.split("class=\"line c1\" d=\"").nth(1).expect("a line").split('"').next().expect("its path");
        assert_eq!(line.matches('M').count(), 2, "{line}");
        assert_eq!(line.matches('L').count(), 3, "{line}");
        assert!(line.contains("M750.0") && line.ends_with("L750.0 200.0"), "{line}");
    }

    #[test]
    fn texts_are_escaped_also_in_data() {
        let html = chart(vec![Some(1.0)]).render();
        for text in ["Things &lt;over&gt; time", "a &amp; b", "&lt;phase&gt;", "\\u003c/script> 0"] {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert_eq!(html.matches("</script>").count(), 1);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(chart(vec![None, None]).render(), "");
        assert_eq!(chart(Vec::new()).render(), "");
    }
}
