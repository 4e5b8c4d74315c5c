//! The catalogue's texts of members, read as what they say.
//!
//! ```text
//! text   = object { " or " object } [ "; " note ]   | "as " note      either of them; the latter may be anything
//! object = [ member { ", " member } [ ", …" ] ]                       … stands for more than are named
//! member = one { " | " one }                                          at least one of them
//! one    = name [ "?" ] [ shape ]                                     ? may be absent
//! shape  = " " word { " | " word }                                    one of these texts
//!        | " {" object "}"                                            an object
//!        | "[]"                                                       a list of texts
//!        | ": [" [ "message" | "these" | "{" object { " or " object } "}" ] "]"
//! ```
//!
//! `message` is a message of a room, `these` what the first alternative describes, and `[]` always empty.

/// What may stand in `data`: one of these; nothing is said of it when there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) alternatives: Vec<Object>,
}

/// Members, in groups of which each has at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) groups: Vec<Vec<Member>>,
    /// Whether there are more than these.
    pub(super) open: bool,
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) optional: bool,
    pub(super) shape: Shape,
}

/// What a member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// What its name says.
    Named,
    /// One of these texts.
    Words(Vec<&'static str>),
    /// An object.
    Object(Data),
    /// A list of texts.
    Texts,
    /// A list of objects.
    Objects(Data),
    /// A list of messages.
    Messages,
    /// A list of what the first alternative describes.
    These,
    /// An empty list.
    Nothing,
}

impl Data {
    /// Reads a text of the catalogue.
    ///
    /// # Errors
    /// The rest of the text that could not be read.
    pub(super) fn parse(text: &'static str) -> Result<Self, &'static str> {
        if text.starts_with("as ") {
            return Ok(Self { alternatives: Vec::new() });
        }
        let mut rest = text.split_once("; ").map_or(text, |(text, _)| text);
        let data = data(&mut rest)?;
        if rest.is_empty() { Ok(data) } else { Err(rest) }
    }
}

impl Object {
    /// Calls `change` with every group, those of objects within included.
    pub(super) fn for_each_group(&mut self, change: &mut impl FnMut(&mut Vec<Member>)) {
        for group in &mut self.groups {
            for member in group.iter_mut() {
                if let Shape::Object(data) | Shape::Objects(data) = &mut member.shape {
                    data.alternatives.iter_mut().for_each(|object| object.for_each_group(change));
                }
            }
            change(group);
        }
    }
}

type Rest<'a> = &'a mut &'static str;

fn eat(rest: Rest<'_>, prefix: &str) -> bool {
    let Some(behind) = rest.strip_prefix(prefix) else { return false };
    *rest = behind;
    true
}

fn expect(rest: Rest<'_>, prefix: &str) -> Result<(), &'static str> {
    if eat(rest, prefix) { Ok(()) } else { Err(*rest) }
}

/// Letters, digits and hyphens; possibly none.
fn word(rest: Rest<'_>) -> &'static str {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    *rest = behind;
    word
}

fn data(rest: Rest<'_>) -> Result<Data, &'static str> {
    let mut alternatives = vec![object(rest)?];
    while eat(rest, " or ") {
        alternatives.push(object(rest)?);
    }
    Ok(Data { alternatives })
}

fn object(rest: Rest<'_>) -> Result<Object, &'static str> {
    if rest.is_empty() || rest.starts_with('}') {
        return Ok(Object::default());
    }
    let mut groups = Vec::new();
    loop {
        let mut group = vec![member(rest)?];
        while eat(rest, " | ") {
            group.push(member(rest)?);
        }
        groups.push(group);
        let open = eat(rest, ", …");
        if open || !eat(rest, ", ") {
            return Ok(Object { groups, open });
        }
    }
}

fn member(rest: Rest<'_>) -> Result<Member, &'static str> {
    let name = word(rest);
    if name.is_empty() {
        return Err(*rest);
    }
    let optional = eat(rest, "?");
    Ok(Member { name, optional, shape: shape(rest)? })
}

fn shape(rest: Rest<'_>) -> Result<Shape, &'static str> {
    if eat(rest, "[]") {
        return Ok(Shape::Texts);
    }
    if eat(rest, " {") {
        let data = data(rest)?;
        return expect(rest, "}").map(|()| Shape::Object(data));
    }
    if eat(rest, ": [") {
        let items = items(rest)?;
        return expect(rest, "]").map(|()| items);
    }
    let mut words = Vec::new();
    let is_word =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic()) && !rest.starts_with("or ");
    if rest.strip_prefix(' ').is_some_and(is_word) {
        expect(rest, " ")?;
        words.push(word(rest));
        while eat(rest, " | ") {
            words.push(word(rest));
        }
    }
    Ok(if words.is_empty() { Shape::Named } else { Shape::Words(words) })
}

fn items(rest: Rest<'_>) -> Result<Shape, &'static str> {
    if eat(rest, "message") {
        return Ok(Shape::Messages);
    }
    if eat(rest, "these") {
        return Ok(Shape::These);
    }
    if eat(rest, "{") {
        let data = data(rest)?;
        return expect(rest, "}").map(|()| Shape::Objects(data));
    }
    Ok(Shape::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(object: &Object) -> Vec<Vec<(&str, bool)>> {
        let group = |group: &Vec<Member>| group.iter().map(|member| (member.name, member.optional)).collect();
        object.groups.iter().map(group).collect()
    }

    fn read(text: &'static str) -> Data {
        Data::parse(text).unwrap_or_else(|rest| panic!("{rest:?} of {text:?}"))
    }

    #[test]
    fn members_may_be_optional_alternatives_and_more() {
        let data = read("roomId, clientId?, messageId | upToOffset, …; a note, of any kind");
        let [object] = &data.alternatives[..] else { panic!("{data:?}") };
        let expected = [
            vec![("roomId", false)],
            vec![("clientId", true)],
            vec![("messageId", false), ("upToOffset", false)],
        ];
        assert_eq!(names(object), expected);
        assert!(object.open);
        assert_eq!(read("").alternatives, [Object::default()]);
        assert!(read("as the backend says").alternatives.is_empty());
    }

    #[test]
    fn shapes_are_read() {
        let shapes = |text| -> Vec<Shape> {
            let groups = read(text).alternatives.swap_remove(0).groups;
            groups.into_iter().flatten().map(|member| member.shape).collect()
        };
        assert_eq!(
            shapes("status? online | away, users[], users: [], rooms: [these], messages?: [message], ok"),
            [
                Shape::Words(vec!["online", "away"]),
                Shape::Texts,
                Shape::Nothing,
                Shape::These,
                Shape::Messages,
                Shape::Named
            ]
        );
        let objects = shapes("recover? {epoch, offset}, results: [{ok, id? or ok, error}], metrics {}");
        let [Shape::Object(recover), Shape::Objects(results), Shape::Object(metrics)] = &objects[..] else {
            panic!("{objects:?}");
        };
        assert_eq!(names(&recover.alternatives[0]), [[("epoch", false)], [("offset", false)]]);
        assert_eq!(results.alternatives.len(), 2);
        assert_eq!(names(&results.alternatives[0]), [[("ok", false)], [("id", true)]]);
        assert!(metrics.alternatives[0].groups.is_empty());
    }

    #[test]
    fn what_is_left_over_is_told() {
        for (text, rest) in [("a b c", " c"), ("a,b", ",b"), ("a, ", ""), ("a: [{b]", "]"), ("a?? ", "? ")] {
            assert_eq!(Data::parse(text), Err(rest), "{text}");
        }
    }
}
