//! What is told of one operation beside what the route table and the documents know of it: its id, the query, the body,
//! the answers and the refusals of its own. What every operation of a kind has is added by `operation.rs`.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};

use crate::http::error::{Code, Success};

/// Schemas by name, in the order in which they were met; one that is met twice stands twice.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A member of the query.
pub struct Query {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: RefOr<Schema>,
    pub(super) is_required: bool,
}

/// The body.
pub struct Body {
    /// None of a body that is no JSON.
    pub(super) schema: Option<RefOr<Schema>>,
    pub(super) example: Option<Value>,
}

/// An answer.
pub struct Given {
    pub(super) success: Success,
    pub(super) media_type: &'static str,
    pub(super) schema: RefOr<Schema>,
    pub(super) about: &'static str,
    pub(super) headers: Vec<&'static str>,
}

/// What an answer's `ETag` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// Over the bytes: the answer to a `GET` that is whole.
    Bytes,
    /// The number of the active release, where there is one.
    Release,
    /// The entry's revision.
    Revision,
    /// It has none.
    Never,
}

/// One operation.
pub struct Told {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) id: String,
    pub(super) more: Option<&'static str>,
    pub(super) query: Vec<Query>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Given>,
    pub(super) refuses: Vec<Code>,
    pub(super) tagged: Tagged,
    pub(super) schemas: Schemas,
}

impl Told {
    fn of(method: &'static str, path: impl Into<String>, id: impl Into<String>, tagged: Tagged) -> Self {
        Self {
            method,
            path: path.into(),
            id: id.into(),
            more: None,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            answers: Vec::new(),
            refuses: Vec::new(),
            tagged,
            schemas: Vec::new(),
        }
    }

    /// Of a `GET`.
    pub fn get(path: impl Into<String>, id: impl Into<String>) -> Self {
        Self::of("GET", path, id, Tagged::Bytes)
    }

    /// Of a `POST`.
    pub fn post(path: impl Into<String>, id: impl Into<String>) -> Self {
        Self::of("POST", path, id, Tagged::Never)
    }

    /// Of a `DELETE`.
    pub fn delete(path: impl Into<String>, id: impl Into<String>) -> Self {
        Self::of("DELETE", path, id, Tagged::Never)
    }

    /// What the row in docs/API.md has no room for.
    #[must_use]
    pub fn more(mut self, text: &'static str) -> Self {
        self.more = Some(text);
        self
    }

    /// A member of the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, schema: impl Into<RefOr<Schema>>, about: &'static str) -> Self {
        self.query.push(Query { name, about, schema: schema.into(), is_required: false });
        self
    }

    /// One that must be there.
    #[must_use]
    pub fn needs_query(mut self, name: &'static str, schema: impl Into<RefOr<Schema>>, about: &'static str) -> Self {
        self.query.push(Query { name, about, schema: schema.into(), is_required: true });
        self
    }

    /// A header of the request that not every operation knows.
    #[must_use]
    pub fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }

    /// The JSON body.
    #[must_use]
    pub fn takes<T: ToSchema>(mut self, example: Value) -> Self {
        let schema = self.named::<T>();
        self.takes_form(schema, example)
    }

    /// A body whose form no type has.
    #[must_use]
    pub fn takes_form(mut self, schema: impl Into<RefOr<Schema>>, example: Value) -> Self {
        self.body = Some(Body { schema: Some(schema.into()), example: Some(example) });
        self
    }

    /// A body that is no JSON.
    #[must_use]
    pub fn takes_bytes(mut self) -> Self {
        self.body = Some(Body { schema: None, example: None });
        self
    }

    /// A JSON answer.
    #[must_use]
    pub fn gives<T: ToSchema>(mut self, success: Success) -> Self {
        let schema = self.named::<T>();
        self.gives_form(success, schema)
    }

    /// A JSON answer whose form no one type has.
    #[must_use]
    pub fn gives_form(mut self, success: Success, schema: impl Into<RefOr<Schema>>) -> Self {
        let (media_type, schema) = ("application/json", schema.into());
        self.answers.push(Given { success, media_type, schema, about: about(success), headers: Vec::new() });
        self
    }

    /// An answer that is text.
    #[must_use]
    pub fn gives_text(mut self, media_type: &'static str) -> Self {
        // Of a stream the whole is no value: it has no end.
        let schema = if media_type == "text/event-stream" { anything() } else { text() };
        let (success, schema) = (Success::Found, schema.into());
        self.answers.push(Given { success, media_type, schema, about: about(success), headers: Vec::new() });
        self
    }

    /// A page of a list: the query says which one, and the answer where the next one is.
    #[must_use]
    pub fn pages<T: ToSchema>(mut self) -> Self {
        let page = page(self.named::<T>());
        self.lists().gives_form(Success::Found, page).with_header("Link")
    }

    /// The query of a list.
    #[must_use]
    pub fn lists(self) -> Self {
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(100));
        self.query("limit", limit.default(Some(25.into())), "How many items at most.").query(
            "cursor",
            text(),
            "The `nextCursor` of the page before, as it is.",
        )
    }

    /// What the last answer means, where its status alone does not say it.
    #[must_use]
    pub fn meaning(mut self, text: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.about = text;
        }
        self
    }

    /// A header of the last answer, by its name in `parts.rs`.
    #[must_use]
    pub fn with_header(mut self, name: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push(name);
        }
        self
    }

    /// Refusals of its own.
    #[must_use]
    pub fn refuses(mut self, codes: &[Code]) -> Self {
        self.refuses.extend(codes);
        self
    }

    /// What its answer's tag is.
    #[must_use]
    pub fn tagged(mut self, tagged: Tagged) -> Self {
        self.tagged = tagged;
        self
    }

    /// It changes an entry as it was: under `If-Match`.
    #[must_use]
    pub fn under_if_match(self) -> Self {
        let about = "The entry's `ETag`, or `*` for whatever it is: it is changed only where it is as it was.";
        self.header("If-Match", about).tagged(Tagged::Revision).refuses(&[
            Code::BadHeader,
            Code::EntryChanged,
            Code::MatchRequired,
        ])
    }

    /// Its answer has a secret, and is told once.
    #[must_use]
    pub fn tells_once(self) -> Self {
        self.refuses(&[Code::IdempotencyGone])
    }

    /// Keeps what a type names, of which the form is told in another way.
    pub fn with_parts_of<T: ToSchema>(&mut self) {
        T::schemas(&mut self.schemas);
    }

    /// A type by its name, kept among the schemas.
    pub fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        named::<T>(&mut self.schemas)
    }
}

/// A type by its name, kept among the schemas with all that it names.
pub fn named<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let name = T::name().into_owned();
    schemas.push((name.clone(), T::schema()));
    T::schemas(schemas);
    RefOr::Ref(Ref::from_schema_name(name))
}

fn about(success: Success) -> &'static str {
    match success {
        Success::Found => "Here it is.",
        Success::Created => "It was made.",
        Success::Skipped => "It was there, and nothing was written.",
        Success::Begun => "It was begun and goes on.",
        Success::Unchanged => "The reader has it already.",
        Success::Unwell => "The answer is complete and says that the host is unwell.",
    }
}

/// Text of any form.
pub fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// One of some words.
pub fn word_of(words: &[&str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build()
}

/// Text that has this form.
pub fn text_like(pattern: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

/// An instant, or a day for its first moment.
pub fn instant() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .examples([Value::from("2026-01-01"), Value::from("2026-11-20T17:40:00Z")])
        .build()
}

/// A whole number.
pub fn whole() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).build()
}

/// Any JSON value.
pub fn anything() -> Object {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).build()
}

/// A page of what the schema is of.
pub fn page(item: RefOr<Schema>) -> Object {
    let cursor = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Where the next page begins; null says that there is none."));
    ObjectBuilder::new()
        .property("items", Array::new(item))
        .required("items")
        .property("nextCursor", cursor)
        .required("nextCursor")
        .build()
}

/// All of these at once: what `#[serde(flatten)]` makes one object of.
pub fn all_of(parts: impl IntoIterator<Item = RefOr<Schema>>) -> Schema {
    let all = utoipa::openapi::AllOfBuilder::new();
    Schema::AllOf(parts.into_iter().fold(all, |all, part| all.item(part)).build())
}

/// An object with these members.
pub fn object(members: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>) -> Object {
    let object = ObjectBuilder::new();
    members.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name)).build()
}
