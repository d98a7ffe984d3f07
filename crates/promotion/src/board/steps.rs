//! How the hot set came to be what it is, for those who follow the decisions.

use std::collections::VecDeque;

use hotshelf_hotkeys::HotCursor;

use crate::event::HotEvent;

/// Steps that are remembered.
pub(super) const REMEMBERED_MAX: usize = 1024;

/// The last steps, ascending.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The cursor before the first of them.
    from: Option<HotCursor>,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    cursor: HotCursor,
    /// `None` for a snapshot that changed nothing.
    event: Option<HotEvent>,
}

impl Steps {
    /// None yet, from a cursor on.
    pub(super) fn from(cursor: HotCursor) -> Self {
        Steps {
            from: Some(cursor),
            steps: VecDeque::new(),
        }
    }

    /// A step to a cursor, greater than those before.
    pub(super) fn push(&mut self, cursor: HotCursor, event: Option<HotEvent>) {
        self.steps.push_back(Step { cursor, event });
        if self.steps.len() > REMEMBERED_MAX {
            self.from = self.steps.pop_front().map(|step| step.cursor);
        }
    }

    /// The first event after a cursor, if there is one; `None` where it is not remembered what came after it.
    pub(super) fn after(&self, since: HotCursor) -> Option<Option<&HotEvent>> {
        let next = match self.from == Some(since) {
            true => 0,
            false => {
                let at = self.steps.binary_search_by_key(&since, |step| step.cursor);
                at.ok()? + 1
            }
        };
        let mut steps = self.steps.range(next..);
        Some(steps.find_map(|step| step.event.as_ref()))
    }
}
