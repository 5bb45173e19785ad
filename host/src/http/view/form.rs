//! The forms of what is written member by member: entries, which stand under their kind's own field names.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Array, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{EntryView, Named, RatingsView, UsesView, VersionView};
use crate::clock::Instant;
use crate::http::openapi::told::{Schemas, Told, named, text, word_of};
use crate::http::view::entry::WithdrawalView;
use crate::names::{DecisionId, Digest, VersionName};
use crate::registry::store::EntryName;

/// The words that say how an entry or a version is.
const STATUSES: [&str; 6] = ["draft", "active", "deprecated", "disabled", "archived", "withdrawn"];

/// Members that every answer about an entry or a version has.
const ALWAYS: [&str; 5] = ["name", "version", "status", "description", "tags"];

const ABOUT: &str = "An entry, one of its versions, or an entry with its active version. The id stands under the kind's id \
field (`agentId`, say), and a version's document and further fields under theirs.";

/// Each member with its form, the types that they name kept among the schemas.
fn members(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
    let nullable = || ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).into();
    let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let (version, at) = (named::<VersionName>(schemas), named::<Instant>(schemas));
    vec![
        ("name", nullable()),
        ("version", version.clone()),
        ("status", word_of(&STATUSES).into()),
        ("statusReason", text().into()),
        ("replacement", named::<EntryName>(schemas)),
        ("withdrawal", named::<WithdrawalView<'_>>(schemas)),
        ("description", nullable()),
        ("tags", Array::new(text()).into()),
        ("category", anything.into()),
        ("highestVersion", version.clone()),
        ("createdAt", at.clone()),
        ("updatedAt", at.clone()),
        ("digest", named::<Digest>(schemas)),
        ("publishedAt", at),
        ("publishedBy", text().into()),
        ("decisionId", named::<DecisionId>(schemas)),
        ("ratings", named::<RatingsView>(schemas)),
        ("uses", named::<UsesView>(schemas)),
        ("withdrawnVersions", Array::new(version).into()),
        ("versions", Array::new(named::<VersionView<'_>>(schemas)).into()),
    ]
}

impl PartialSchema for EntryView<'_> {
    fn schema() -> RefOr<Schema> {
        let object = members(&mut Schemas::new())
            .into_iter()
            .fold(ObjectBuilder::new(), |object, (name, form)| object.property(name, form));
        let object = ALWAYS.iter().fold(object, |object, name| object.required(*name));
        let others = AdditionalProperties::FreeForm(true);
        object.additional_properties(Some(others)).description(Some(ABOUT)).into()
    }
}

impl ToSchema for EntryView<'_> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Entry")
    }

    fn schemas(schemas: &mut Schemas) {
        members(schemas);
    }
}

impl<T: ToSchema> Named<'_, T> {
    /// The form: an entry under its kind's singular, and further members.
    pub fn told(told: &mut Told) -> RefOr<Schema> {
        let entry = told.named::<EntryView<'_>>();
        told.with_parts_of::<T>();
        let RefOr::T(Schema::Object(more)) = T::schema() else { return entry };
        let about = "The entry stands under its kind's singular (`agent`, say).";
        ObjectBuilder::from(more).additional_properties(Some(entry)).description(Some(about)).into()
    }
}
