//! The host's side of the imports on the machine itself, for the test bench. One bench runs at a time on a thread.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use crate::Substitution;
use crate::registry::Summary;

/// What the bench answers from.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) submission: Value,
    pub(crate) substituted: Vec<Substitution>,
    pub(crate) published: Vec<(Summary, Value)>,
    pub(crate) logged: RefCell<Vec<String>>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Runs `evaluate` with the imports answered from `world`.
pub(crate) fn within<T>(world: Rc<World>, evaluate: impl FnOnce() -> T) -> T {
    struct Restore(Option<Rc<World>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            WORLD.with(|slot| *slot.borrow_mut() = before);
        }
    }
    let _restore = Restore(WORLD.with(|slot| slot.borrow_mut().replace(world)));
    evaluate()
}

fn world() -> Rc<World> {
    WORLD
        .with(|slot| slot.borrow().clone())
        .expect("a host call is made outside the sandbox: run the plugin in a testing::Bench")
}

/// The `submission` interface.
pub(crate) mod submission {
    use serde_json::Value;
    use serde_json_path::JsonPath;

    use super::world;
    use crate::{Node, Substitution};

    pub(crate) fn get(pointer: &str) -> Option<String> {
        world().submission.pointer(pointer).map(Value::to_string)
    }

    pub(crate) fn keys(pointer: &str) -> Option<Vec<String>> {
        let mut keys: Vec<_> = world().submission.pointer(pointer)?.as_object()?.keys().cloned().collect();
        keys.sort();
        Some(keys)
    }

    pub(crate) fn query(path: &str) -> Result<Vec<Node>, String> {
        let path = JsonPath::parse(path).map_err(|error| error.to_string())?;
        let world = world();
        let nodes = path.query_located(&world.submission);
        Ok(nodes
            .iter()
            .map(|node| Node { path: node.location().to_json_pointer(), value: node.node().to_string() })
            .collect())
    }

    pub(crate) fn substituted() -> Vec<Substitution> {
        world().substituted.clone()
    }
}

/// The `registry` interface.
pub(crate) mod registry {
    use super::{Summary, Value, world};

    pub(crate) fn lookup(kind: &str, id: &str, version: Option<&str>) -> Option<Summary> {
        find(kind, id, version).map(|(summary, _)| summary)
    }

    pub(crate) fn manifest(kind: &str, id: &str, version: Option<&str>) -> Option<String> {
        find(kind, id, version).map(|(_, submission)| submission.to_string())
    }

    fn find(kind: &str, id: &str, version: Option<&str>) -> Option<(Summary, Value)> {
        let world = world();
        let mut versions = world.published.iter().filter(|(summary, _)| summary.kind == kind && summary.id == id);
        versions.find(|(summary, _)| summary.version == version.unwrap_or(&summary.current_version)).cloned()
    }
}

/// The `log` interface.
pub(crate) mod log {
    use super::world;

    pub(crate) fn write(message: &str) {
        world().logged.borrow_mut().push(message.to_owned());
    }
}
