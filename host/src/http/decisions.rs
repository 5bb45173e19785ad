//! Decisions: the stored record of one run of the gate.

use super::call::Call;
use super::error::Success;
use super::reply::{Answer, Reply};
use super::view::DecisionView;

/// `GET /api/decisions/{id}`
pub async fn show(call: Call) -> Answer {
    let decision = call.registry.decision(&call.actor, call.word("id")).await?;
    Reply::json(Success::Found, &DecisionView::of(&decision))
}
