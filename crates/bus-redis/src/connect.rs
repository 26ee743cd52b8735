use std::collections::BTreeMap;
use std::time::Duration;

use bulkhead_model::{Error, ErrorKind, Region, Result};
use parking_lot::Mutex;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, RedisConnectionInfo,
    RedisError, TlsCertificates, Value,
};
use zeroize::Zeroizing;

use crate::RedisSettings;

/// What is known of an address that was dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialledShard {
    /// As it was configured, or as the cluster announced it.
    pub address: String,
    /// The region in its mark; `None` when it was never read.
    pub proven_region: Option<String>,
    /// Connections that were made.
    pub connected: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Whether the newest attempt was refused because of the region.
    pub refused: bool,
}

/// Opens connections to shards.
pub(crate) struct Connector {
    region: Region,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    tls_ca: Option<Vec<u8>>,
    connect: Duration,
    answer: Duration,
    dialled: Mutex<BTreeMap<String, DialledShard>>,
}

impl Connector {
    pub(crate) fn new(settings: &RedisSettings) -> Self {
        Self {
            region: settings.region,
            user: settings.user.clone(),
            password: settings.password.clone(),
            tls_ca: settings.tls_ca.clone(),
            connect: settings.limits.connect,
            answer: settings.limits.answer,
            dialled: Mutex::default(),
        }
    }

    /// A connection whose pushes go to `pushes`, to a shard that carries this region's mark under the key `mark`; one
    /// without a mark gets it. `InvalidArgument` for credentials that are refused and for the mark of another region.
    pub(crate) async fn open(
        &self,
        address: &str,
        mark: Option<&str>,
        pushes: Option<Box<dyn Pushes>>,
    ) -> Result<MultiplexedConnection> {
        let opened = self.dial(address, mark, pushes).await;
        let mut dialled = self.dialled.lock();
        let known = dialled.entry(address.to_owned()).or_default();
        address.clone_into(&mut known.address);
        match &opened {
            Ok(_) => known.connected += 1,
            Err(_) => known.failed += 1,
        }
        opened
    }

    /// Every address that was dialled.
    pub(crate) fn dialled(&self) -> Vec<DialledShard> {
        self.dialled.lock().values().cloned().collect()
    }

    async fn dial(
        &self,
        address: &str,
        mark: Option<&str>,
        pushes: Option<Box<dyn Pushes>>,
    ) -> Result<MultiplexedConnection> {
        let client = self.client(address)?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect))
            .set_response_timeout(Some(self.answer));
        if let Some(pushes) = pushes {
            config = config.set_push_sender(Sender(pushes));
        }
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        // The limits above are of single steps.
        let opened = tokio::time::timeout(self.connect + self.answer, opening).await;
        let mut connection = opened
            .map_err(|_| {
                ErrorKind::Timeout.with(format!("the Redis shard {address} does not answer in time"))
            })?
            .map_err(|error| failure(address, &error))?;
        if let Some(mark) = mark {
            self.check_mark(address, mark, &mut connection).await?;
        }
        Ok(connection)
    }

    fn client(&self, address: &str) -> Result<Client> {
        let wrong = |_| ErrorKind::InvalidArgument.with(format!("bus.shards: {address} is no Redis address"));
        // Without a library name, which would need a further right.
        let mut redis =
            RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        if let Some(user) = &self.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password.as_str());
        }
        let info = address.into_connection_info().map_err(wrong)?.set_redis_settings(redis);
        if address.starts_with("rediss://") {
            let certificates = TlsCertificates { client_tls: None, root_cert: self.tls_ca.clone() };
            return Client::build_with_tls(info, certificates)
                .map_err(|_| ErrorKind::InvalidArgument.with("bus.tls_ca_file: holds no certificates"));
        }
        Client::open(info).map_err(wrong)
    }

    /// Design: region pinning; a shard belongs to the region that used it first.
    async fn check_mark(
        &self,
        address: &str,
        mark: &str,
        connection: &mut MultiplexedConnection,
    ) -> Result<()> {
        let own = self.region.name();
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(mark).arg(own).arg("NX").cmd("GET").arg(mark);
        let answers = query(connection, &pipe, 2).await.map_err(|failed| failed.of(address))?;
        let Some(Value::BulkString(found)) = answers.get(1) else {
            return Err(ErrorKind::Unavailable.with(format!("the Redis shard {address} keeps no mark")));
        };
        // Only names of regions are repeated, never an arbitrary text of the other side.
        let found = std::str::from_utf8(found).ok().and_then(|name| name.parse::<Region>().ok());
        let mut dialled = self.dialled.lock();
        let known = dialled.entry(address.to_owned()).or_default();
        known.proven_region = found.map(|region| region.name().to_owned());
        known.refused = found != Some(self.region);
        if !known.refused {
            return Ok(());
        }
        metrics::counter!("bulkhead_bus_region_refusals_total").increment(1);
        let whose = found.map_or("an unknown region", Region::name);
        Err(ErrorKind::InvalidArgument
            .with(format!("bus.shards: {address} is marked as {whose}'s, and this node is {own}'s")))
    }
}

/// Takes what a server sends unasked; must not block.
pub(crate) trait Pushes: Send + Sync + 'static {
    fn take(&self, push: PushInfo);
}

struct Sender(Box<dyn Pushes>);

impl AsyncPushSender for Sender {
    fn send(&self, push: PushInfo) -> Result<(), redis::aio::SendError> {
        self.0.take(push);
        Ok(())
    }
}

/// Why a pipeline was not done.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The connection is of no more use.
    Connection(RedisError),
    /// The server refuses a command; its error's code, like `MOVED` or `NOPERM`.
    Refused(String),
}

impl Failed {
    pub(crate) fn of(&self, address: &str) -> Error {
        match self {
            Failed::Connection(error) => failure(address, error),
            Failed::Refused(code) if code == "NOPERM" => ErrorKind::InvalidArgument
                .with(format!("bus.user: may not do all that is needed at {address}")),
            Failed::Refused(code) => {
                ErrorKind::Unavailable.with(format!("the Redis shard {address} refuses a command: {code}"))
            }
        }
    }
}

/// Sends a pipeline of `count` commands and answers as many values, none of which is an error.
pub(crate) async fn query(
    connection: &mut MultiplexedConnection,
    pipe: &redis::Pipeline,
    count: usize,
) -> Result<Vec<Value>, Failed> {
    let values = connection.send_packed_commands(pipe, 0, count).await.map_err(Failed::Connection)?;
    for value in &values {
        if let Value::ServerError(error) = value {
            return Err(Failed::Refused(error.code().to_owned()));
        }
    }
    Ok(values)
}

fn failure(address: &str, error: &RedisError) -> Error {
    let refused = matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
        || error.kind() == redis::ErrorKind::AuthenticationFailed;
    if refused {
        let wrong = format!("bus.user, bus.password_file: the Redis shard {address} refuses them");
        return ErrorKind::InvalidArgument.with(wrong);
    }
    if error.is_timeout() {
        return ErrorKind::Timeout.with(format!("the Redis shard {address} does not answer in time"));
    }
    ErrorKind::Unavailable.with(format!("the Redis shard {address} does not answer: {}", error.category()))
}
