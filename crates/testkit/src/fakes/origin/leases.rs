//! Leases of the cluster in a fake database.

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_model::{BoxFuture, ClusterLeases, DbTime, Error, LeaseToken};

use super::{FakeOrigin, fail};
use crate::names::random;

/// The holders by the names of their leases, each until a time.
pub(super) type Holders = HashMap<String, (LeaseToken, DbTime)>;

impl ClusterLeases for FakeOrigin {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseToken>, Error>> {
        Box::pin(async move {
            fail(self.knobs.lock().polls_fail)?;
            let mut holders = self.leases.lock();
            let now = self.now();
            if holders.get(name).is_some_and(|&(_, until)| until > now) {
                return Ok(None);
            }
            let token = LeaseToken(random());
            holders.insert(name.to_owned(), (token, now.plus(ttl)));
            Ok(Some(token))
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        token: LeaseToken,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            fail(self.knobs.lock().polls_fail)?;
            let now = self.now();
            match self.leases.lock().get_mut(name) {
                Some((holder, until)) if *holder == token && *until > now => {
                    *until = now.plus(ttl);
                    Ok(true)
                }
                Some(_) | None => Ok(false),
            }
        })
    }

    fn release<'a>(&'a self, name: &'a str, token: LeaseToken) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            fail(self.knobs.lock().polls_fail)?;
            let mut holders = self.leases.lock();
            if holders
                .get(name)
                .is_some_and(|&(holder, _)| holder == token)
            {
                holders.remove(name);
            }
            Ok(())
        })
    }
}
