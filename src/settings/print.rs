//! `roomcast config`: the effective settings as a file that `--config` reads again.

use std::fmt::Write;

use roomcast_shards::config::Config;
use toml::Value;

use super::layers::Layers;
use super::table::{Kind, SECTIONS, Setting};

/// Columns of a comment line.
const WIDTH: usize = 110;

/// Writes every setting with its manual; those that are unset, and secrets, as comments.
pub(super) fn render(layers: &Layers, effective: &Config) -> String {
    let mut out =
        String::from("# Settings of roomcast: flags, variables and this file use the same names.\n");
    for section in SECTIONS {
        let _ = write!(out, "\n# {}\n", section.title.to_uppercase());
        for setting in section.settings {
            out.push('\n');
            comment(&mut out, &manual(setting));
            if let Some(here) = here(layers, setting.name, effective) {
                comment(&mut out, &here);
            }
            line(&mut out, setting, layers.texts(setting.name));
        }
    }
    layers.profiles().render(&mut out);
    layers.backends().render(&mut out);
    layers.listeners().render(&mut out);
    out
}

fn manual(setting: &Setting) -> String {
    match setting.default {
        Some(default) => format!("{} Default: {default}.", setting.help),
        None => setting.help.to_owned(),
    }
}

/// What `auto` comes to on this host.
fn here(layers: &Layers, name: &str, effective: &Config) -> Option<String> {
    if layers.texts(name) != ["auto"] {
        return None;
    }
    let value = match name {
        "shards" => effective.shards.to_string(),
        "max-connections" => effective.limits.connections_max.to_string(),
        "cpus" => super::format_cpus(&effective.cpus),
        _ => return None,
    };
    Some(format!("On this host: {value}."))
}

fn line(out: &mut String, setting: &Setting, texts: &[String]) {
    let name = setting.name;
    // Writing to a String cannot fail.
    let _ = match (setting.kind, texts) {
        (Kind::Secret, [_, ..]) => writeln!(out, "# {name} = \"...\" (is set, left out here)"),
        (Kind::List(_), []) => writeln!(out, "# {name} = []"),
        (_, []) => writeln!(out, "# {name} = \"\""),
        (Kind::List(_), texts) => {
            writeln!(
                out,
                "{name} = {}",
                Value::Array(texts.iter().map(|text| Value::from(text.as_str())).collect())
            )
        }
        (_, [.., text]) => writeln!(out, "{name} = {}", scalar(text)),
    };
}

/// Numbers and truths as such, everything else as a string.
fn scalar(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return Value::Integer(number);
    }
    match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        text => Value::from(text),
    }
}

/// Writes `text` as comment lines of at most [`WIDTH`] columns, broken at spaces.
pub(super) fn comment(out: &mut String, text: &str) {
    let mut column = usize::MAX;
    for word in text.split_whitespace() {
        if column.saturating_add(1 + word.len()) > WIDTH {
            if column != usize::MAX {
                out.push('\n');
            }
            out.push('#');
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
}
