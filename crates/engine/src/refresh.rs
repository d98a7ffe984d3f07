//! Background refreshes: a copy that gets old is replaced while it is still served.

use std::sync::Arc;

use hotshelf_model::{Boot, KeyRef, Version};

use crate::cache::Engine;
use crate::flight::Begun;
use crate::settings::Class;
use crate::slot::Slot;
use crate::switches::Part;

impl Engine {
    /// Starts a refresh of `slot`, unless that is switched off, one was started a moment ago or too many are under way.
    #[cold]
    pub(crate) fn start_refresh(self: &Arc<Self>, key: KeyRef<'_>, slot: &Arc<Slot>, now: Boot) {
        if self.switches.is_off(Part::Refresh) || self.switches.is_off(Part::Origin) {
            return;
        }
        if !slot.claim_refresh(now, self.settings.retry_after) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.refreshes).try_acquire_owned() else {
            self.counters.refreshes_skipped.increment(1);
            return;
        };
        let key = &key.to_key();
        let Ok(source) = self.source(key).cloned() else {
            return;
        };
        let Begun::Leader(guard) = self.take_off(&source, key, Version::NONE, Class::Refresh)
        else {
            return;
        };
        let Some(pending) = self.pending(guard, Version::NONE) else {
            return;
        };
        let flight = pending.guard.flight();
        if self.fly(&source, vec![pending], Class::Refresh).is_err() {
            return;
        }
        self.counters.refreshes_started.increment(1);
        self.runtime.spawn(async move {
            // The outcome is in L1, or was logged by the fill; the permit is what is waited for.
            let _outcome = flight.wait().await;
            drop(permit);
        });
    }
}
