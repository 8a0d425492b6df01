//! `bench instances`: what of a call is the sandbox.
//!
//! The library runs the connector `hello` in this process, without any workspace: on an instance that
//! has served before, and with an instance made for every call. The difference is what an instance
//! costs, from making it to taking it down.

mod nobody;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aloma_wasm::broker::{Broker, MemoryStore, Network, Policy, Setup, Traffic};
use aloma_wasm::connector::{
    self, Compiler, Configuration, Connector, Context, Engine, Isolation, Loader, Services, Target,
    Values,
};
use aloma_wasm::envelope::Limits;
use aloma_wasm::events::Events;
use anyhow::ensure;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use self::nobody::Nobody;
use crate::Settings;
use crate::aims::Aim;
use crate::cargo::{self, Built};
use crate::limits::{MANY, WARM_UP};
use crate::load::{ANSWER, Samples};
use crate::usage::own_cpu;

/// Which instance a call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One that has served before.
    Warm,
    /// One of its own.
    Fresh,
}

impl Kind {
    fn isolation(self) -> Isolation {
        match self {
            Self::Warm => Isolation::Reuse,
            Self::Fresh => Isolation::Call,
        }
    }
}

/// Everything measured of one kind.
pub struct Measured {
    kind: Kind,
    caller: Arc<Caller>,
    rounds: Vec<Round>,
}

/// One kind in one round.
pub struct Round {
    /// One call after the other.
    pub one: Loaded,
    /// [`MANY`] calls at once.
    pub many: Loaded,
}

/// One load and what it cost.
pub struct Loaded {
    /// The times.
    pub samples: Samples,
    /// CPU time of this process, which does nothing else.
    pub cpu: Duration,
}

/// Measures and prints the table.
pub async fn measure(settings: &Settings) -> anyhow::Result<Vec<Aim>> {
    let built = cargo::build(settings)?;
    // One loader: both share the compiled code, which is kept nowhere.
    let loader = Loader::new(Engine::new()?, None, Compiler::in_process());
    let mut measured = Vec::new();
    for kind in [Kind::Warm, Kind::Fresh] {
        let caller = Arc::new(Caller::new(kind, &built, &loader).await?);
        measured.push(Measured { kind, caller, rounds: Vec::new() });
    }
    let time = Duration::from_secs(settings.seconds);
    for number in 0..settings.rounds as usize {
        measured.rotate_left(number.min(1));
        for one in &mut measured {
            one.round(time).await?;
        }
    }
    table::print(&measured)?;
    Ok(table::aims(&measured))
}

impl Measured {
    async fn round(&mut self, time: Duration) -> anyhow::Result<()> {
        load(&self.caller, MANY, WARM_UP).await?;
        let one = load(&self.caller, 1, time * 2 / 3).await?;
        let many = load(&self.caller, MANY, time).await?;
        self.rounds.push(Round { one, many });
        Ok(())
    }
}

/// So many callers, each of whom calls again as soon as there is an answer.
async fn load(caller: &Arc<Caller>, at_once: usize, time: Duration) -> anyhow::Result<Loaded> {
    let (begin, cpu) = (Instant::now(), own_cpu());
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        let caller = caller.clone();
        callers.spawn(async move {
            let mut latencies = Vec::new();
            while begin.elapsed() < time {
                let call = Instant::now();
                caller.call().await?;
                latencies.push(u32::try_from(call.elapsed().as_nanos()).unwrap_or(u32::MAX));
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(latencies) = callers.join_next().await {
        all.extend(latencies??);
    }
    let cpu = own_cpu().saturating_sub(cpu);
    Ok(Loaded { samples: Samples::new(begin.elapsed(), all), cpu })
}

/// A connector, and what is called.
struct Caller {
    connector: Connector,
    target: Target,
    arguments: Box<RawValue>,
}

impl Caller {
    async fn new(kind: Kind, built: &Built, loader: &Loader) -> anyhow::Result<Self> {
        let limits = Arc::<Limits>::default();
        let component = built.component("hello");
        let loaded = loader.load(&component, &limits).await?;
        let configuration = Configuration::new(&loaded.manifest, Values::new(), &[]);
        let settings = connector::Settings {
            id: "bench".into(),
            services: services()?,
            configuration,
            limits,
            isolation: kind.isolation(),
            events: Events::default(),
        };
        Ok(Self {
            connector: Connector::new(loaded, settings),
            target: Target::Action("hello".into()),
            arguments: RawValue::from_string("{}".into())?,
        })
    }

    async fn call(&self) -> anyhow::Result<()> {
        let context = Context::default();
        let answer = self.connector.call(&self.target, &self.arguments, &context).await?;
        let answer = answer.json.get();
        ensure!(answer == ANSWER, "hello answered {answer}");
        Ok(())
    }
}

/// A door to a network that nothing is granted of, and a workspace that is not there.
fn services() -> anyhow::Result<Services> {
    let broker = Broker::new(Setup {
        network: Network::default(),
        identities: HashMap::new(),
        component: "bench".into(),
        limits: Arc::default(),
        policy: Policy::parse(&[], &[])?,
        credentials: BTreeMap::new(),
        store: Arc::new(MemoryStore::default()),
        traffic: Traffic::default(),
        events: Events::default(),
    });
    Ok(Services { broker: Arc::new(broker), workspace: Arc::new(Nobody) })
}
