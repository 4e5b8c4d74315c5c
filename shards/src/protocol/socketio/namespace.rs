//! Namespaces: several conversations of one client over one connection, each with rooms and users of its own.

/// A namespace of the process; it lives as long as that, so that connections hold a plain reference to theirs.
#[derive(Debug)]
pub struct Namespace {
    /// Its position among all of the process.
    pub index: u8,
    /// Its name, such as `/` or `/chat`.
    pub name: String,
    /// What stands in front of the packets of it: `/chat,`; nothing for `/`.
    pub prefix: String,
}

/// The namespace that every client may connect to.
pub static ROOT: Namespace = Namespace { index: 0, name: String::new(), prefix: String::new() };

/// Most namespaces of a process, `/` included.
pub const NAMESPACES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 64;

impl Namespace {
    /// The name that rooms and users of it have in front inside the gateway; nothing for `/`.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.name
    }

    /// The name on the wire.
    #[must_use]
    pub fn wire_name(&self) -> &str {
        if self.name.is_empty() { "/" } else { &self.name }
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for Namespace {}

/// The namespaces that clients may connect to.
#[derive(Debug, Clone)]
pub struct Namespaces(Vec<&'static Namespace>);

impl Default for Namespaces {
    fn default() -> Self {
        Self(vec![&ROOT])
    }
}

impl Namespaces {
    /// Adds a namespace beside `/`; it stays for the life of the process.
    ///
    /// # Errors
    /// Why there can be no such namespace, for the operator.
    pub fn define(&mut self, name: &str) -> Result<(), String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if name.len() < 2
            || !name.starts_with('/')
            || !name.bytes().all(is_plain)
            || name.len() > NAME_BYTES_MAX
        {
            return Err(format!(
                "expected a name such as /chat, of at most {NAME_BYTES_MAX} letters, digits and - _ . /, got {name:?}"
            ));
        }
        if self.find(name).is_some() {
            return Err(format!("{name} is there twice"));
        }
        if self.0.len() >= NAMESPACES_MAX {
            return Err(format!("at most {} namespaces are possible", NAMESPACES_MAX - 1));
        }
        let index = u8::try_from(self.0.len()).expect("checked above");
        let namespace = Namespace { index, name: name.to_owned(), prefix: format!("{name},") };
        self.0.push(Box::leak(Box::new(namespace)));
        Ok(())
    }

    /// The namespace of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Namespace> {
        self.0.iter().copied().find(|namespace| namespace.wire_name() == name)
    }

    /// The names of those beside `/`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().skip(1).map(|namespace| namespace.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_found_by_its_name_on_the_wire() {
        let mut namespaces = Namespaces::default();
        namespaces.define("/chat").expect("a good name");
        assert_eq!(namespaces.find("/").map(Namespace::realm), Some(""));
        assert_eq!(namespaces.find("/chat").map(|it| (it.index, it.prefix.as_str())), Some((1, "/chat,")));
        assert!(namespaces.find("/other").is_none() && namespaces.find("").is_none());
        for name in ["", "/", "chat", "/a b", "/a,b", "/chat", "/é"] {
            assert!(namespaces.define(name).is_err(), "{name}");
        }
        assert_eq!(namespaces.names().collect::<Vec<_>>(), ["/chat"]);
    }
}
