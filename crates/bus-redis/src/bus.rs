use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_bus::{Bus, BusSink, Frame, SUBSCRIPTIONS_MAX, SlotSet, Subscriptions, Topic, check_payloads};
use bulkhead_model::{ErrorKind, Result, SLOT_COUNT};
use parking_lot::RwLock;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connect::{Connector, DialledShard};
use crate::core::{Core, Places};
use crate::shard::Shard;
use crate::{Layout, RedisRegistry, RedisSettings, cluster, primaries};

/// The bus on Redis; its connections end when it is dropped.
pub struct RedisBus {
    core: Arc<Core>,
    _stop: DropGuard,
}

impl RedisBus {
    /// Connects to every shard; what is subscribed later comes out at `sink`. `InvalidArgument`, naming the setting, for
    /// addresses that are none, credentials that are refused and shards of another region; `Unavailable` or `Timeout`
    /// when a shard does not answer.
    pub async fn start(settings: RedisSettings, sink: Arc<dyn BusSink>) -> Result<Arc<Self>> {
        let stop = CancellationToken::new();
        let connector = Connector::new(&settings);
        let homes = match settings.layout {
            Layout::Primaries => {
                let slots = primaries::place(&settings.shards);
                settings.shards.iter().cloned().zip(slots).collect()
            }
            Layout::Cluster => cluster::discover(&connector, &settings.shards).await?,
        };
        let places = places_of(homes, &stop)?;
        let core = Arc::new(Core {
            layout: settings.layout,
            limits: settings.limits,
            connector,
            sink,
            wanted: RwLock::new(Subscriptions::new(SUBSCRIPTIONS_MAX)),
            places: RwLock::new(Arc::new(places)),
            moved: Notify::new(),
            stop: stop.clone(),
        });
        let bus = Arc::new(Self { core: core.clone(), _stop: stop.drop_guard() });
        for shard in &core.places().shards {
            shard.start(&core).await?;
        }
        if settings.layout == Layout::Cluster {
            tokio::spawn(cluster::follow(core, settings.shards));
        }
        Ok(bus)
    }

    /// The registry on the same shards and connections.
    pub fn registry(&self) -> Arc<RedisRegistry> {
        Arc::new(RedisRegistry::new(self.core.clone()))
    }

    /// Every address that was dialled, for the residency report.
    pub fn dialled(&self) -> Vec<DialledShard> {
        self.core.connector.dialled()
    }

    /// Address of the shard that the topic lies on now.
    pub fn shard_of(&self, topic: &Topic) -> String {
        self.core.places().shard_of(topic.slot()).address.clone()
    }

    /// Addresses of the shards that are away now; empty when all is well.
    pub fn shards_away(&self) -> Vec<String> {
        let places = self.core.places();
        let away = places.shards.iter().filter(|shard| shard.commands.read().is_none());
        away.map(|shard| shard.address.clone()).collect()
    }
}

fn places_of(homes: Vec<(String, SlotSet)>, stop: &CancellationToken) -> Result<Places> {
    let mut of_slot = vec![None; usize::from(SLOT_COUNT)];
    let mut shards = Vec::with_capacity(homes.len());
    for (index, (address, slots)) in homes.into_iter().enumerate() {
        for slot in slots.iter() {
            of_slot[usize::from(slot)] = Some(index);
        }
        shards.push(Shard::new(address, slots, stop.child_token()));
    }
    let of_slot = of_slot.into_iter().collect::<Option<Vec<usize>>>();
    let of_slot =
        of_slot.ok_or_else(|| ErrorKind::Unavailable.with("bus.shards: not every slot has a shard"))?;
    Ok(Places { shards, of_slot })
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, frames: Vec<Frame>) -> Result<()> {
        check_payloads(&frames, self.payload_bytes_max())?;
        let places = self.core.places();
        for frame in frames {
            places.shard_of(frame.topic.slot()).publishes.push(frame, &self.core.limits);
        }
        Ok(())
    }

    async fn subscribe(&self, topics: Vec<Topic>) -> Result<()> {
        let slots: SlotSet = topics.iter().map(Topic::slot).collect();
        let first = self.core.wanted.write().add(topics)?;
        for waiter in note(&self.core.places(), &slots, first) {
            // A shard that goes away while it is waited for lets go; a gap follows when it is back.
            let _ = waiter.await;
        }
        Ok(())
    }

    async fn unsubscribe(&self, topics: Vec<Topic>) -> Result<()> {
        let last = self.core.wanted.write().remove(topics);
        // From here on its frames are not taken any more; what follows only saves work.
        note(&self.core.places(), &SlotSet::none(), last);
        Ok(())
    }
}

/// Notes changed topics with their shards; answers who has to be waited for: every shard of `slots`, because topics that
/// others have subscribed to may be on their way there.
pub(crate) fn note(places: &Places, slots: &SlotSet, topics: Vec<Topic>) -> Vec<oneshot::Receiver<()>> {
    let mut of_shard: HashMap<usize, Vec<Topic>> = HashMap::new();
    for slot in slots.iter() {
        of_shard.entry(places.of_slot[usize::from(slot)]).or_default();
    }
    for topic in topics {
        of_shard.entry(places.of_slot[usize::from(topic.slot())]).or_default().push(topic);
    }
    of_shard.into_iter().filter_map(|(shard, topics)| places.shards[shard].wishes.note(topics)).collect()
}
