//! What one instance has: its case, its time, and the account of everything it took from the host. Every host call
//! is charged here, and the first limit that is broken ends the guest.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use super::engine::{Engine, PAGE_BYTES, SNAPSHOT_PAGES};
use super::pace::{Allowance, Pace};
use super::random::Random;
use super::{Case, Cause, Facts, FactsError, Lookup, Summary, failure};
use crate::config::Limits;

/// What an instance was made for.
pub enum Task {
    /// To describe itself: it sees no submission.
    Describe,
    /// To be configured: it sees its settings alone. The bytes seed its randomness.
    Configure(Vec<u8>),
    /// To judge.
    Judge(Case),
}

/// The data of one store.
pub struct State {
    /// The plugin's name, for the log.
    plugin: Arc<str>,
    limits: Arc<Limits>,
    task: Task,
    pace: Pace,
    memory_bytes: usize,
    table_elements: usize,
    /// Memory beyond the guest's limit, for the host's own reading of a snapshot.
    spare_bytes: usize,
    host_calls: u64,
    handed_bytes: usize,
    read_bytes: usize,
    log_bytes: usize,
    /// What its log said of a panic.
    panic: Option<String>,
    lookups: Vec<Lookup>,
    handles_live: u64,
    random: Option<Random>,
    clock_readings: u64,
}

/// A store for one instance, with every limit in place.
pub fn store(engine: &Engine, plugin: Arc<str>, task: Task) -> Store<State> {
    let limits = &engine.limits;
    let allowance = match task {
        Task::Judge(_) => evaluation(limits),
        Task::Describe | Task::Configure(_) => {
            Allowance::Configuration { processor_max_ms: limits.plugin_configure_deadline_ms }
        }
    };
    let state = State {
        plugin,
        limits: Arc::clone(limits),
        task,
        pace: Pace::start(allowance),
        memory_bytes: 0,
        table_elements: 0,
        spare_bytes: 0,
        host_calls: 0,
        handed_bytes: 0,
        read_bytes: 0,
        log_bytes: 0,
        panic: None,
        lookups: Vec::new(),
        handles_live: 0,
        random: None,
        clock_readings: 0,
    };
    let mut store = Store::new(&engine.wasmtime, state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(limits.plugin_answer_max_bytes);
    store.set_max_component_handles(limits.plugin_handles_max);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        store.data().pace.check()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

fn evaluation(limits: &Limits) -> Allowance {
    Allowance::Evaluation { processor_max_ms: limits.plugin_deadline_ms, wall_max_ms: limits.plugin_wall_max_ms }
}

impl State {
    /// Has an instance that was configured judge a case: it may do what one may do that starts from its image.
    pub fn take_up(&mut self, case: Case) {
        self.task = Task::Judge(case);
        self.pace = Pace::start(evaluation(&self.limits));
        (self.host_calls, self.handed_bytes, self.read_bytes, self.log_bytes) = (0, 0, 0, 0);
        (self.random, self.clock_readings, self.panic) = (None, 0, None);
    }

    /// True where half of the memory that it may have is taken.
    pub fn is_half_full(&self) -> bool {
        self.memory_bytes > self.limits.plugin_memory_max_bytes / 2
    }

    /// The case under judgement; `import` is what wants it.
    pub fn case(&self, import: &str) -> Result<&Case, Cause> {
        match &self.task {
            Task::Judge(case) => Ok(case),
            Task::Describe => Err(Cause::Refused { import: format!("{import} in describe()") }),
            Task::Configure(_) => Err(Cause::Refused { import: format!("{import} in configure()") }),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The time used.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// What was asked of the registry.
    pub fn take_lookups(&mut self) -> Vec<Lookup> {
        std::mem::take(&mut self.lookups)
    }

    /// Charges a host call and the bytes of its arguments.
    pub fn called(&mut self, argument_bytes: usize) -> Result<(), Cause> {
        self.host_calls += 1;
        self.handed_bytes = self.handed_bytes.saturating_add(argument_bytes);
        if self.host_calls > self.limits.plugin_host_calls_max {
            return Err(Cause::HostCalls { limit: self.limits.plugin_host_calls_max });
        }
        if self.handed_bytes > self.limits.plugin_answer_max_bytes {
            return Err(Cause::Answer { limit_bytes: self.limits.plugin_answer_max_bytes });
        }
        Ok(())
    }

    /// Charges bytes that the host is about to hand over.
    pub fn reads(&mut self, bytes: usize) -> Result<(), Cause> {
        self.read_bytes = self.read_bytes.saturating_add(bytes);
        if self.read_bytes > self.limits.plugin_read_max_bytes {
            return Err(Cause::Read { limit_bytes: self.limits.plugin_read_max_bytes });
        }
        Ok(())
    }

    /// What the guest's log said of a panic.
    pub fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    /// Writes a line for the plugin's author.
    pub fn log(&mut self, line: &str) -> Result<(), Cause> {
        self.log_bytes = self.log_bytes.saturating_add(line.len());
        if self.log_bytes > self.limits.plugin_log_max_bytes {
            return Err(Cause::Log { limit_bytes: self.limits.plugin_log_max_bytes });
        }
        tracing::debug!(target: "hallmark::plugin::log", plugin = &*self.plugin, "{}", line.trim_end());
        if let Some(told) = failure::panic_told(line) {
            self.panic = Some(told);
        }
        Ok(())
    }

    /// Asks the registry, off the guest's clock, and keeps the question with what `found` says of the answer: its digest, and
    /// what is kept of it.
    pub fn ask<T>(
        &mut self,
        question: Lookup,
        answer: impl FnOnce(&dyn Facts, &Lookup) -> Result<Option<T>, FactsError>,
        found: impl FnOnce(&T) -> (String, Option<Summary>),
    ) -> Result<Option<T>, Cause> {
        self.called(question.kind.len() + question.id.len() + question.version.as_ref().map_or(0, String::len))?;
        if self.lookups.len() as u64 >= self.limits.plugin_lookups_max {
            return Err(Cause::Lookups { limit: self.limits.plugin_lookups_max });
        }
        let facts = Arc::clone(&self.case("hallmark:plugin/registry")?.facts);
        let answer = self.pace.exempt(|| answer(&*facts, &question)).map_err(|error| {
            tracing::error!(plugin = &*self.plugin, error = &error as &dyn std::error::Error, "a look-up failed");
            Cause::Facts
        })?;
        let (found, kept) = answer.as_ref().map(found).unzip();
        self.lookups.push(Lookup { found, answer: kept.flatten(), ..question });
        self.pace.check()?;
        Ok(answer)
    }

    /// Random bytes, the same for the same case.
    pub fn random(&mut self) -> &mut Random {
        let task = &self.task;
        self.random.get_or_insert_with(|| Random::seeded(task))
    }

    /// The instant that every clock shows: the submission's, in milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        match &self.task {
            Task::Judge(case) => u64::try_from(case.subject.submitted_at_ms).unwrap_or(0),
            Task::Describe | Task::Configure(_) => 0,
        }
    }

    /// Nanoseconds of the steady clock: a microsecond more at each reading, so that a guest that waits for it to
    /// move goes on, and no machine's speed shows in it.
    pub fn steady_ns(&mut self) -> u64 {
        self.clock_readings += 1;
        self.clock_readings * 1_000
    }

    /// Notes that the guest was given a handle.
    pub fn handle_given(&mut self) {
        self.handles_live += 1;
    }

    /// Notes that it gave one back.
    pub fn handle_dropped(&mut self) {
        self.handles_live = self.handles_live.saturating_sub(1);
    }

    /// Handles of host resources that the guest holds.
    pub fn handles_live(&self) -> u64 {
        self.handles_live
    }

    /// Lets the host read the guest's memory: without an end of time, and with the pages that reading adds.
    pub fn allow_reading(&mut self) {
        self.pace = Pace::start(Allowance::Host);
        self.spare_bytes = SNAPSHOT_PAGES * PAGE_BYTES * self.limits.plugin_memories_max as usize;
    }
}

// A guest that is refused growth goes on with -1, and whether it then traps or answers depends on its language. It
// ends here instead: one outcome, at once, under the limit's own name.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let limit_bytes = self.limits.plugin_memory_max_bytes;
        // The module's own maximum, where it is the lower one, is the guest's affair.
        if maximum.is_some_and(|maximum| desired > maximum && maximum < limit_bytes) {
            return Ok(true);
        }
        let together = self.memory_bytes - current.min(self.memory_bytes) + desired;
        if together > limit_bytes + self.spare_bytes {
            return Err(Cause::Memory { limit_bytes }.into());
        }
        self.memory_bytes = together;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.plugin_table_elements_max;
        if maximum.is_some_and(|maximum| desired > maximum && maximum < limit) {
            return Ok(true);
        }
        let together = self.table_elements - current.min(self.table_elements) + desired;
        if together > limit {
            return Err(Cause::Table { limit }.into());
        }
        self.table_elements = together;
        Ok(true)
    }
}
