//! How much the Redis processes may hold, and hold, as each says of itself.

use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_model::TierRoom;

use crate::exchange::Exchange;
use crate::shard::Shard;

impl Exchange {
    /// The sum over the shards; without a bound if one has none or does not say.
    pub(crate) async fn room(&self, deadline: Duration) -> TierRoom {
        let map = self.map();
        let rooms = join_all(map.shards().iter().map(|shard| room(shard, deadline))).await;
        let sum = |of: fn(&TierRoom) -> Option<u64>| {
            let each = rooms.iter().map(of);
            each.sum::<Option<u64>>().filter(|_| !rooms.is_empty())
        };
        TierRoom {
            bytes_max: sum(|room| room.bytes_max),
            bytes: sum(|room| room.bytes),
        }
    }
}

async fn room(shard: &Shard, deadline: Duration) -> TierRoom {
    let Some(mut connection) = shard.connection() else {
        return TierRoom::default();
    };
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    match tokio::time::timeout(deadline, info.query_async::<String>(&mut connection)).await {
        Ok(Ok(text)) => parse(&text),
        Ok(Err(_)) | Err(_) => TierRoom::default(),
    }
}

/// Redis without a bound says that it is 0.
fn parse(text: &str) -> TierRoom {
    let field = |name: &str| {
        let values = text.lines().filter_map(|line| line.split_once(':'));
        let mut named = values.filter(|(field, _)| *field == name);
        named.next()?.1.trim().parse::<u64>().ok()
    };
    TierRoom {
        bytes_max: field("maxmemory").filter(|&bytes| bytes > 0),
        bytes: field("used_memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_redis_is_read_from_what_it_says() {
        let text = "# Memory\r\nused_memory:1000\r\nused_memory_human:1K\r\nmaxmemory:5000\r\n";
        let room = |bytes_max, bytes| TierRoom { bytes_max, bytes };
        assert_eq!(parse(text), room(Some(5000), Some(1000)));
        let unbounded = text.replace("maxmemory:5000", "maxmemory:0");
        assert_eq!(parse(&unbounded), room(None, Some(1000)));
        assert_eq!(parse("-ERR"), room(None, None));
    }
}
