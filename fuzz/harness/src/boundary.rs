//! The border between guest and host: any value both ways. The host does not panic, tells no secret,
//! understands what was said rightly, and the next call works.

use std::cell::LazyCell;
use std::sync::Arc;

use aloma_wasm::broker::{Broker, MemoryStore, Network, Policy, Setup, Traffic};
use aloma_wasm::connector::{
    CallError, Configuration, Connector, Context, Isolation, Services, Settings, Target, Values,
};
use aloma_wasm::events::{Component, Events};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::component::Loading;
use crate::fake_workspace::FakeWorkspace;
use crate::given::Given;
use crate::guest::{IMAGE, IMAGE_BYTES, RESULT, Step, arguments, contract, manifest};
use crate::lower::Memory;
use crate::values::{self, SECRET};
use crate::watch::no_panics;

/// Steps of one program. More only take time.
const STEPS: usize = 12;
/// Bytes of the steps, before the values that they name: a step has at most 17 parameters.
const STEPS_BYTES: usize = STEPS * 8 * 18;

/// A connector whose guest does what it is told.
struct Scene {
    runtime: Runtime,
    connector: Connector,
    workspace: Arc<FakeWorkspace>,
}

thread_local! {
    static SCENE: LazyCell<Scene> = LazyCell::new(Scene::new);
}

/// What the guest is to do.
#[derive(Default)]
struct Program {
    steps: Vec<u8>,
    image: Vec<u8>,
    /// What the call gives, where the guest does nothing that could end it before.
    answer: Option<Value>,
}

/// A target, what comes with the call, what the workspace answers, and a program.
pub fn boundary(data: &[u8]) {
    let mut given = Given::new(data);
    let target = match given.below(4) {
        0 => Target::Action("run".into()),
        1 => Target::Fallback(given.text()),
        2 => Target::Autocomplete,
        _ => Target::Endpoint,
    };
    let mut some = || (given.byte() & 1 == 1).then(|| given.text());
    let (task_id, namespace, sticky) = (some(), some(), some());
    let context = Context { call: Some("call".into()), task_id, namespace, sticky };
    let answers = given.text();
    let program = Program::read(&mut given);
    no_panics(|| SCENE.with(|scene| scene.play(&target, &context, &answers, &program)));
}

impl Program {
    fn read(given: &mut Given<'_>) -> Self {
        let is_rude = given.byte() & 1 == 1;
        let contract = contract();
        let mut values = Memory::new(&contract.resolve, &contract.sizes, IMAGE + STEPS_BYTES);
        let mut program = Self::default();
        for _ in 0..STEPS {
            if given.is_over() {
                break;
            }
            let step = given.below(contract.number(Step::Echo) + 1);
            if step < contract.imports.len() {
                program.call(step, is_rude, &mut values, given);
            } else if step == contract.number(Step::Answer) {
                program.answer(is_rude, &mut values, given);
                break;
            } else if step == contract.number(Step::Room) && is_rude {
                program.step(step, &[given.number()]);
            }
        }
        program.image = values.bytes;
        program.image.truncate(IMAGE_BYTES - STEPS_BYTES);
        if is_rude {
            program.damage(given);
        }
        program
    }

    fn step(&mut self, number: usize, slots: &[u64]) {
        let words = [number as u64].into_iter().chain(slots.iter().copied());
        self.steps.extend(words.flat_map(u64::to_le_bytes));
    }

    /// Calls an import with any values.
    fn call(
        &mut self,
        number: usize,
        is_rude: bool,
        memory: &mut Memory<'_>,
        given: &mut Given<'_>,
    ) {
        let contract = contract();
        let import = &contract.imports[number];
        let types: Vec<_> = import.function.params.iter().map(|param| param.ty).collect();
        let any = |param: &wit_parser::Param| {
            values::any(&contract.resolve, &param.ty, &param.name, given)
        };
        let values: Vec<_> = import.function.params.iter().map(any).collect();
        let mut slots = Vec::new();
        if import.signature.indirect_params {
            slots.push(memory.put_all(&types, &values));
        } else {
            types.iter().zip(&values).for_each(|(ty, value)| memory.flat(ty, value, &mut slots));
        }
        if import.signature.retptr {
            slots.push(if is_rude { address(given) } else { RESULT as u64 });
        }
        self.step(number, &slots);
    }

    /// Ends the call with any answer, or with what the last import gave.
    fn answer(&mut self, is_rude: bool, memory: &mut Memory<'_>, given: &mut Given<'_>) {
        let contract = contract();
        let answer = contract.number(Step::Answer);
        if is_rude {
            return self.step(answer, &[address(given)]);
        }
        let value = values::any(&contract.resolve, &contract.answer, "", given);
        let at = memory.put(&contract.answer, &value);
        self.step(answer, &[at]);
        self.answer = Some(value);
    }

    fn damage(&mut self, given: &mut Given<'_>) {
        for _ in 0..given.below(8) {
            let (at, byte) = (given.number(), given.byte());
            for bytes in [&mut self.steps, &mut self.image] {
                if !bytes.is_empty() {
                    let length = bytes.len() as u64;
                    bytes[usize::try_from(at % length).expect("a place in it")] = byte;
                }
            }
        }
    }

    fn arguments(&self) -> Box<RawValue> {
        let mut bytes = self.steps.clone();
        bytes.resize(STEPS_BYTES, 0xff);
        bytes.extend_from_slice(&self.image);
        raw(arguments(&bytes))
    }
}

/// Anywhere at all, or near what is there.
fn address(given: &mut Given<'_>) -> u64 {
    match given.byte() {
        0xff => given.number(),
        0xfe => RESULT as u64,
        near => (IMAGE + 8 * usize::from(near)) as u64,
    }
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("letters in a text in an object")
}

impl Scene {
    fn new() -> Self {
        let loading = Loading::new();
        let loaded = loading.load(&contract().component(&manifest())).expect("the guest loads");
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        let (runtime, workspace) = (runtime.expect("a runtime"), Arc::<FakeWorkspace>::default());
        let events = Events::default();
        let values: Values =
            [("KEY".into(), SECRET.into()), ("PLAIN".into(), "plain".into())].into();
        let settings = Settings {
            id: "fuzzed".into(),
            configuration: Configuration::new(&loaded.manifest, values, &[]),
            services: Services {
                broker: Arc::new(broker(events.clone())),
                workspace: workspace.clone(),
            },
            limits: Arc::default(),
            isolation: Isolation::Reuse,
            events,
        };
        Self { runtime, connector: Connector::new(loaded, settings), workspace }
    }

    fn play(&self, target: &Target, context: &Context, answers: &str, program: &Program) {
        self.workspace.answer(answers);
        let call = |target: &Target, arguments: &RawValue| {
            let called = self.connector.call(target, arguments, context);
            self.runtime.block_on(called).map(|done| done.json)
        };
        let outcome = call(target, &program.arguments());
        let told = match &outcome {
            Ok(value) => value.get().to_owned(),
            Err(CallError::Failure(failure)) => format!("{failure:?}"),
            Err(error) => error.to_string(),
        };
        assert!(!told.contains(SECRET), "the secret came out: {told}");
        if let Some(answer) = &program.answer {
            is_understood(&self.scrubbed(answer), &outcome);
        }
        let echo = Program { steps: echo(), ..Program::default() }.arguments();
        let again = call(&Target::Action("run".into()), &echo).expect("the next call works");
        assert_eq!(again.get(), echo.get(), "the next call is answered");
    }

    /// What the host makes of what the guest says, before it is told.
    fn scrubbed(&self, answer: &Value) -> Value {
        let configuration = self.connector.configuration();
        map(answer, &|text| configuration.vault().scrub(text.to_owned()))
    }
}

/// A call's answer with every text in it changed.
fn map(answer: &Value, change: &impl Fn(&str) -> String) -> Value {
    match answer {
        Value::String(text) => change(text).into(),
        Value::Array(values) => values.iter().map(|value| map(value, change)).collect(),
        Value::Object(values) => {
            values.iter().map(|(key, value)| (key.clone(), map(value, change))).collect()
        }
        other => other.clone(),
    }
}

fn echo() -> Vec<u8> {
    (contract().number(Step::Echo) as u64).to_le_bytes().to_vec()
}

/// Every part of a failure is told, and a result is told to the letter where it is JSON.
fn is_understood(answer: &Value, outcome: &Result<Box<RawValue>, CallError>) {
    let payload = &answer[1];
    // It may have waited for what never comes: the clock stands still while anybody works, and else
    // the time of a call is over at once.
    if matches!(outcome, Err(CallError::Limit(_))) {
        return;
    }
    match (answer[0].as_u64(), outcome) {
        (Some(0), Ok(value)) => {
            let text = payload.as_str().expect("a result is a text");
            let text = if text.trim().is_empty() { "null" } else { text.trim() };
            assert_eq!(value.get(), text);
        }
        (Some(0), Err(CallError::BadResult(_))) => {
            let text = payload.as_str().expect("a result is a text");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text} is JSON");
        }
        (Some(1), Err(CallError::Failure(failure))) => {
            let told = json!({
                "code": failure.code,
                "message": failure.message,
                "retryable": u8::from(failure.retryable),
                "detail": failure.detail,
            });
            assert_eq!(told, *payload);
        }
        (_, outcome) => panic!("{answer} became {outcome:?}"),
    }
}

/// A broker that is granted nothing.
fn broker(events: Events) -> Broker {
    Broker::new(Setup {
        component: Component { connector: "fuzzed".into(), digest: "".into() },
        policy: Policy::default(),
        limits: Arc::default(),
        credentials: Default::default(),
        store: Arc::new(MemoryStore::default()),
        network: Network::default(),
        identities: Default::default(),
        traffic: Traffic::default(),
        events,
    })
}
