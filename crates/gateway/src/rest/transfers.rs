//! Files on their way: how many at one time, so that one app's slow clients leave room for the others.

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, Result};
use parking_lot::Mutex;

/// Uploads and downloads of one gateway at one time; one more is refused. Each holds at most half a mebibyte.
const TRANSFERS_MAX: usize = 1024;

/// Of these, how many one app may have.
const APP_TRANSFERS_MAX: usize = 512;

/// The files on their way through one gateway.
#[derive(Default)]
pub(crate) struct Transfers {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    /// Only apps that have any.
    apps: HashMap<AppUuid, usize>,
}

/// A place for one file; given back when it is dropped.
pub(super) struct TransferPlace {
    transfers: Arc<Transfers>,
    app: AppUuid,
}

impl Transfers {
    /// Takes a place. `RateLimited` when there is none.
    pub(super) fn enter(self: &Arc<Self>, app: AppUuid) -> Result<TransferPlace> {
        let mut open = self.open.lock();
        let of_app = open.apps.get(&app).copied().unwrap_or(0);
        if open.total == TRANSFERS_MAX || of_app == APP_TRANSFERS_MAX {
            return Err(ErrorKind::RateLimited.into());
        }
        open.total += 1;
        open.apps.insert(app, of_app + 1);
        Ok(TransferPlace { transfers: Arc::clone(self), app })
    }
}

#[cfg(test)]
impl Transfers {
    /// Files on their way now.
    pub(super) fn open(&self) -> usize {
        self.open.lock().total
    }
}

impl Drop for TransferPlace {
    fn drop(&mut self) {
        let mut open = self.transfers.open.lock();
        open.total -= 1;
        if let Some(of_app) = open.apps.get_mut(&self.app) {
            *of_app -= 1;
            if *of_app == 0 {
                open.apps.remove(&self.app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_takes_all_of_its_places_leaves_some_to_the_others_and_gets_them_back() {
        let transfers = Arc::new(Transfers::default());
        let [one, two, three] = [1, 2, 3].map(|byte| AppUuid([byte; 16]));
        let fill = |app| (0..APP_TRANSFERS_MAX).map(|_| transfers.enter(app).unwrap()).collect::<Vec<_>>();
        let mut places = fill(one);
        assert!(transfers.enter(one).is_err());
        let others = fill(two);
        assert!(transfers.enter(three).is_err());
        places.pop();
        assert!(transfers.enter(three).is_ok());
        drop((places, others));
        assert!(transfers.open.lock().apps.is_empty());
        assert_eq!(transfers.open.lock().total, 0);
    }
}
