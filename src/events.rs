//! `roomcast events`: what travels on `/ws`, printed from the tables that the gateway itself obeys (protocol §1–§5).
//!
//! Nothing here is a second list of events: `markdown` and `asyncapi` walk the catalogue, the codes and the profiles
//! of the data plane, and `members` reads the catalogue's own texts. `docs/` holds what was printed last; a test
//! compares.

mod asyncapi;
mod codes;
mod markdown;
mod members;

use roomcast_shards::access::table::AccessTable;
use roomcast_shards::access::token::UserType;
use roomcast_shards::protocol::catalog::EventSpec;
use roomcast_shards::protocol::profile::PROFILES;

/// How the catalogue is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Markdown,
    /// For programs: AsyncAPI 3.0 as JSON.
    AsyncApi,
}

/// Writes the catalogue.
pub(crate) fn render(form: Form) -> String {
    match form {
        Form::Markdown => markdown::render(),
        Form::AsyncApi => format!("{:#}\n", asyncapi::document()),
    }
}

/// The roles that may do it by default.
fn roles(spec: &EventSpec) -> Vec<&'static str> {
    let roles =
        [("guest", UserType::Guest), ("employee", UserType::Employee), ("supervisor", UserType::Supervisor)];
    let table = AccessTable::default();
    let allowed = roles.into_iter().filter(|(_, role)| table.role_may(*role, spec.event));
    allowed.map(|(name, _)| name).collect()
}

/// The profiles under which something goes out by another name, with that name.
fn renames(canonical: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    PROFILES.iter().filter_map(move |profile| {
        let (_, name) = profile.outbound.iter().find(|(known, _)| *known == canonical)?;
        Some((profile.name, *name))
    })
}

#[cfg(test)]
mod tests;
