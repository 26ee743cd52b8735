use std::sync::Arc;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;

use crate::connect::{Failed, query};

/// Sets fields of a key, each behind the millisecond of its end, and lets the key live as long as its longest field. The
/// time is the server's, so that the clocks of its users do not matter. Answers 0 when the key is full.
const PUT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key, ttl, fields_max = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local ends = string.format('%015d', now + ttl)
local swept = false
for i = 3, #ARGV, 2 do
  if redis.call('HEXISTS', key, ARGV[i]) == 0 and redis.call('HLEN', key) >= fields_max then
    if not swept then
      swept = true
      local all = redis.call('HGETALL', key)
      for j = 1, #all, 2 do
        if tonumber(string.sub(all[j + 1], 1, 15)) <= now then redis.call('HDEL', key, all[j]) end
      end
    end
    if redis.call('HLEN', key) >= fields_max then return 0 end
  end
  redis.call('HSET', key, ARGV[i], ends .. ARGV[i + 1])
end
if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
return 1
";

/// Fields and values of a key that have not ended; forgets those that have.
const LIST: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, living = redis.call('HGETALL', KEYS[1]), {}
for j = 1, #all, 2 do
  if tonumber(string.sub(all[j + 1], 1, 15)) > now then
    living[#living + 1] = all[j]
    living[#living + 1] = string.sub(all[j + 1], 16)
  else
    redis.call('HDEL', KEYS[1], all[j])
  end
end
return living
";

/// A connection on which the scripts are known.
#[derive(Clone)]
pub(crate) struct Commands {
    pub(crate) connection: MultiplexedConnection,
    /// Name of [`PUT`].
    pub(crate) put: String,
    /// Name of [`LIST`].
    pub(crate) list: String,
    /// Told when the connection is gone.
    pub(super) lost: Arc<Notify>,
}

impl Commands {
    /// Loads the scripts; `lost` is told when the connection is gone.
    pub(super) async fn load(
        mut connection: MultiplexedConnection,
        lost: Arc<Notify>,
    ) -> Result<Self, Failed> {
        let (put, list) = load_scripts(&mut connection).await?;
        Ok(Self { connection, put, list, lost })
    }

    /// Loads the scripts of a server that has forgotten them.
    pub(crate) async fn load_again(&mut self) -> Result<(), Failed> {
        (self.put, self.list) = load_scripts(&mut self.connection).await?;
        Ok(())
    }
}

/// Answers the names under which the server knows them.
async fn load_scripts(connection: &mut MultiplexedConnection) -> Result<(String, String), Failed> {
    let mut pipe = redis::pipe();
    for script in [PUT, LIST] {
        pipe.cmd("SCRIPT").arg("LOAD").arg(script);
    }
    let names = query(connection, &pipe, 2).await?;
    let mut names = names.into_iter().map(|name| match name {
        Value::BulkString(name) => String::from_utf8(name).unwrap_or_default(),
        Value::SimpleString(name) => name,
        _ => String::new(),
    });
    Ok((names.next().unwrap_or_default(), names.next().unwrap_or_default()))
}
