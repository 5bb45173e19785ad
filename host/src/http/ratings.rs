//! What people think of entries of every kind, and that they use them.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaType, Type};

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::{Told, all_of};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::{RatingsView, UsesView};
use crate::clock::Instant;
use crate::registry::rating::RatingWanted;
use crate::registry::release::Kind;
use crate::registry::store::RatingRow;

/// A JSON object that names an entry by its kind's id field, with what else may stand in it.
struct Named {
    id: String,
    fields: Map<String, Value>,
}

/// What a request about one entry says.
///
/// # Errors
/// It is no object, does not name the entry, or holds a field that is not known.
fn named(call: &Call, known: &[&str]) -> Result<Named, Problem> {
    let kind = call.registry.kind(call.word("kind"))?;
    let mut fields: Map<String, Value> = call.json()?;
    let id_field = &kind.kind.id_field;
    let Some(Value::String(id)) = fields.remove(id_field) else {
        return Err(Problem::new(Code::BadChange, format!("'{id_field}' is missing: name the entry by its id")));
    };
    if let Some(other) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        let known = [&[id_field.as_str()], known].concat();
        return Err(Problem::new(Code::BadChange, crate::config::unknown(other, &known)));
    }
    Ok(Named { id, fields })
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::new(Code::BadChange, format!("'{name}' is text"))),
    }
}

/// The answer about an entry, under the kind's id field.
fn about(kind: &Kind, id: &str, more: impl Serialize) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(more).map_err(Problem::internal)?;
    value[kind.id_field.as_str()] = json!(id);
    Ok(value)
}

/// `POST /api/{kind}/rate`
pub async fn rate(call: Call) -> Answer {
    let Named { id, mut fields } = named(&call, &["rating", "comment", "submittedBy"])?;
    let Some(rating) = fields.get("rating").and_then(Value::as_i64) else {
        return Err(Problem::new(Code::BadChange, "'rating' is a whole number from 1 to 5"));
    };
    let (comment, submitted_by) = (text(&mut fields, "comment")?, text(&mut fields, "submittedBy")?);
    let wanted = RatingWanted { rating, comment, submitted_by };
    let result = call.registry.rate(&call.actor, (call.word("kind"), &id), wanted).await;
    journal::rated(&call, ("rate", "rated"), &id, &result);
    let rated = result?;
    let success = if rated.replaced { Success::Found } else { Success::Created };
    Reply::json(success, &about(&rated.kind, &id, RatingsView::of(rated.standing))?)
}

/// `POST /api/{kind}/use`
pub async fn count_use(call: Call) -> Answer {
    let Named { id, fields } = named(&call, &["success"])?;
    let went_well = match fields.get("success") {
        None => true,
        Some(Value::Bool(went_well)) => *went_well,
        Some(_) => return Err(Problem::new(Code::BadChange, "'success' is true or false")),
    };
    let result = call.registry.count_use(&call.actor, (call.word("kind"), &id), went_well).await;
    journal::rated(&call, ("use", "used"), &id, &result);
    let (kind, standing) = result?;
    Reply::json(Success::Created, &about(&kind, &id, UsesView::of(standing))?)
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Rating)]
struct RatingView<'a> {
    rating: i64,
    comment: Option<&'a str>,
    submitted_by: Option<&'a str>,
    rated_by: &'a str,
    at: Instant,
}

impl<'a> RatingView<'a> {
    fn of(row: &'a RatingRow) -> Self {
        let (comment, submitted_by) = (row.comment.as_deref(), row.submitted_by.as_deref());
        Self { rating: row.rating, comment, submitted_by, rated_by: &row.actor, at: Instant(row.at) }
    }
}

/// `GET /api/{kind}/{id}/ratings`
pub async fn list(call: Call) -> Answer {
    let of = (call.word("kind"), call.word("id"));
    let list = format!("ratings of {}/{}", of.0, of.1);
    let asked = page::asked::<String>(&call, &list)?;
    let page = call.registry.ratings(&call.actor, of, asked.after.as_deref(), asked.limit).await?;
    page::answer(&call, &PageView::of(&list, &page, |row| &row.id, RatingView::of))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let mut rate = Told::post("/api/{kind}/rate", "rateEntry");
    let rated = all_of([rate.named::<RatingsView>(), named_entry(Vec::new())]);
    let mut count_use = Told::post("/api/{kind}/use", "countUse");
    let used = all_of([count_use.named::<UsesView>(), named_entry(Vec::new())]);
    let stars = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(5)).into();
    let text = |length| {
        let form = SchemaType::from_iter([Type::String, Type::Null]);
        RefOr::from(ObjectBuilder::new().schema_type(form).max_length(Some(length)))
    };
    let yes = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(true.into())).into();
    let rating = vec![("rating", stars), ("comment", text(500)), ("submittedBy", text(200))];
    vec![
        rate.takes_form(
            named_entry(rating),
            json!({"templateId": "invitation", "rating": 5, "comment": "Guests came.", "submittedBy": "ada"}),
        )
        .gives_form(Success::Created, rated.clone())
        .gives_form(Success::Found, rated)
        .meaning("Another rating of the name was replaced.")
        .refuses(&[Code::NotFound, Code::EntryDisabled, Code::BadChange]),
        count_use
            .takes_form(named_entry(vec![("success", yes)]), json!({"templateId": "invitation", "success": true}))
            .gives_form(Success::Created, used)
            .refuses(&[Code::NotFound, Code::EntryDisabled, Code::BadChange]),
        Told::get("/api/{kind}/{id}/ratings", "listRatings").pages::<RatingView<'_>>(),
    ]
}

/// An object that names an entry by its kind's id field, which no schema can name.
fn named_entry(members: Vec<(&'static str, RefOr<Schema>)>) -> RefOr<Schema> {
    let about = "With the kind's id field, which names the entry.";
    let others = Some(AdditionalProperties::FreeForm(true));
    let object = ObjectBuilder::new().description(Some(about)).additional_properties(others);
    members.into_iter().fold(object, |object, (name, form)| object.property(name, form)).into()
}
