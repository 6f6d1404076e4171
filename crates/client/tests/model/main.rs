//! The replica against a small model of the server: any interleaving of edits, deliveries, lost
//! connections, crashes of either side and a store that is busy. Afterwards every device shows what
//! the server has, and every command that was saved has had its effect exactly once.
//!
//! | file | owns |
//! |---|---|
//! | `server` | the model: the rules of the real store, numbers and answers, log and recovery |
//! | `device` | a replica, its disk that may lose its last texts, its wire |

mod device;
mod server;

use std::collections::BTreeSet;

use draftwire_protocol::command::Change;
use draftwire_protocol::{Collection, Command};
use proptest::prelude::*;

use device::Device;
use server::Server;

const DEVICES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Write),
    /// The first refused change is tried again.
    Retry(usize),
    Save(usize),
    /// Somebody looks at the documents: layers are laid anew then.
    Look(usize),
    /// So many frames go from the replica to the wire.
    Send(usize, usize),
    /// The server takes so many frames off the wire.
    Serve(usize, usize),
    /// The device takes so many frames off the wire.
    Deliver(usize, usize),
    Connect(usize),
    /// All of that for up to so many frames: without it most runs would not get far.
    Flow(usize, usize),
    Cut(usize),
    /// The process ends; of what was not stored durably the last so many texts are gone.
    Crash(usize, usize),
    /// Somebody else writes.
    Service(Write),
    /// The log no longer reaches back.
    Trim,
    /// The next so many commands are answered `UNAVAILABLE`.
    Busy(usize),
    /// The server remembers a state, to which a later `RollBack` returns.
    Remember,
    RollBack,
}

#[derive(Debug, Clone)]
enum Write {
    Create(Collection, usize),
    Patch(Collection, usize),
    Replace(Collection, usize),
    Delete(Collection, usize),
    Convert(usize, usize),
}

impl Write {
    /// Every command but a delete carries a member that no other has.
    fn command(&self, tag: usize) -> Command {
        let id = |place: &usize| format!("d{place}");
        let data = format!(r#"{{"t{tag}":{tag}}}"#);
        match self {
            Self::Create(collection, at) => {
                Command::Create { collection: *collection, id: Some(id(at)), data }
            }
            Self::Patch(collection, at) => Command::Update {
                collection: *collection,
                id: id(at),
                change: Change::Patch(data),
                condition: None,
            },
            Self::Replace(collection, at) => Command::Update {
                collection: *collection,
                id: id(at),
                change: Change::Replace(data),
                condition: None,
            },
            Self::Delete(collection, at) => {
                Command::Delete { collection: *collection, id: id(at), condition: None }
            }
            Self::Convert(draft, pending) => Command::Convert {
                id: id(draft),
                pending_id: Some(id(pending)),
                patch: Some(data),
                condition: None,
            },
        }
    }
}

fn write() -> impl Strategy<Value = Write> {
    let collection = prop_oneof![Just(Collection::Drafts), Just(Collection::Pending)];
    let at = 0..3_usize;
    prop_oneof![
        3 => (collection.clone(), at.clone()).prop_map(|(c, at)| Write::Create(c, at)),
        4 => (collection.clone(), at.clone()).prop_map(|(c, at)| Write::Patch(c, at)),
        1 => (collection.clone(), at.clone()).prop_map(|(c, at)| Write::Replace(c, at)),
        2 => (collection, at.clone()).prop_map(|(c, at)| Write::Delete(c, at)),
        2 => (at.clone(), at).prop_map(|(draft, pending)| Write::Convert(draft, pending)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..DEVICES;
    let some = 1..6_usize;
    prop_oneof![
        8 => (device.clone(), write()).prop_map(|(d, write)| Step::Write(d, write)),
        1 => device.clone().prop_map(Step::Retry),
        5 => device.clone().prop_map(Step::Save),
        5 => device.clone().prop_map(Step::Look),
        5 => (device.clone(), some.clone()).prop_map(|(d, n)| Step::Send(d, n)),
        5 => (device.clone(), some.clone()).prop_map(|(d, n)| Step::Serve(d, n)),
        5 => (device.clone(), some.clone()).prop_map(|(d, n)| Step::Deliver(d, n)),
        4 => device.clone().prop_map(Step::Connect),
        12 => (device.clone(), 1..12_usize).prop_map(|(d, n)| Step::Flow(d, n)),
        2 => device.clone().prop_map(Step::Cut),
        2 => (device, 0..4_usize).prop_map(|(d, n)| Step::Crash(d, n)),
        1 => write().prop_map(Step::Service),
        1 => Just(Step::Trim),
        1 => some.prop_map(Step::Busy),
        1 => Just(Step::Remember),
    ]
}

struct World {
    server: Server,
    remembered: Option<Server>,
    devices: Vec<Device>,
    tag: usize,
}

impl World {
    fn new(window: usize) -> Self {
        let devices = (0..DEVICES).map(Device::new).collect();
        Self { server: Server::new(window), remembered: None, devices, tag: 0 }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(device, write) => {
                self.tag += 1;
                self.devices[*device].write(write.command(self.tag), self.tag);
            }
            Step::Retry(device) => self.devices[*device].retry(),
            Step::Save(device) => self.devices[*device].save(),
            Step::Look(device) => drop(self.devices[*device].documents()),
            Step::Send(device, count) => self.devices[*device].send(*count),
            Step::Serve(device, count) => {
                self.server.serve(&mut self.devices, *device, *count);
            }
            Step::Deliver(device, count) => self.devices[*device].deliver(*count),
            Step::Connect(device) => self.server.connect(&mut self.devices, *device),
            Step::Flow(device, count) => self.flow(*device, *count),
            Step::Cut(device) => self.devices[*device].cut(),
            Step::Crash(device, lost) => self.devices[*device].crash(*lost),
            Step::Service(write) => {
                self.tag += 1;
                self.server.service(&mut self.devices, &write.command(self.tag));
            }
            Step::Trim => self.server.trim(),
            Step::Busy(count) => self.server.busy = *count,
            Step::Remember => self.remembered = Some(self.server.clone()),
            Step::RollBack => {
                if let Some(server) = self.remembered.take() {
                    self.server = server.in_a_new_epoch();
                    self.devices.iter_mut().for_each(Device::cut);
                }
            }
        }
    }

    fn flow(&mut self, device: usize, count: usize) {
        if self.devices[device].wire.is_none() {
            self.server.connect(&mut self.devices, device);
        }
        self.devices[device].later();
        // `WELCOME` first, so that there is something to send.
        self.devices[device].deliver(count);
        self.devices[device].save();
        self.devices[device].send(count);
        self.server.serve(&mut self.devices, device, count);
        self.devices[device].deliver(count);
    }

    /// Everybody connects, and everything is delivered.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1_000, "the devices never come to rest");
            for device in 0..DEVICES {
                self.flow(device, usize::MAX);
                (0..DEVICES).for_each(|other| self.devices[other].deliver(usize::MAX));
            }
            if self.devices.iter().all(Device::is_at_rest) {
                return;
            }
        }
    }

    fn check(&mut self, may_lose_acknowledged: bool) {
        let served = self.server.documents();
        for (index, device) in self.devices.iter_mut().enumerate() {
            assert_eq!(device.documents(), served, "device {index} shows something else");
        }
        for (tag, times) in &self.server.applied {
            assert_eq!(*times, 1, "command {tag} was applied {times} times");
        }
        let rejected: BTreeSet<usize> = self.devices.iter().flat_map(Device::rejected).collect();
        let both = rejected.iter().find(|tag| self.server.applied.contains_key(tag));
        assert!(both.is_none() || may_lose_acknowledged, "{both:?} was applied and refused");
        for device in &self.devices {
            if !may_lose_acknowledged {
                let name = device.replica.client_id();
                assert!(name.ends_with("-1"), "{name}: a device lost its name for no reason");
            }
            for tag in &device.saved {
                let applied = self.server.applied.contains_key(tag);
                let lost = may_lose_acknowledged && device.accepted.contains(tag);
                assert!(applied || lost || rejected.contains(tag), "command {tag} was lost");
            }
        }
    }
}

fn run(window: usize, steps: &[Step]) -> World {
    let mut world = World::new(window);
    for step in steps {
        world.step(step);
    }
    world.settle();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_saved_command_has_its_effect_once_and_all_devices_show_the_servers_state(
        window in 1..5_usize,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(window, &steps).check(false);
    }

    #[test]
    fn after_a_rolled_back_history_unanswered_commands_are_applied_and_nothing_is_doubled(
        window in 1..5_usize,
        before in prop::collection::vec(step(), 1..60),
        between in prop::collection::vec(step(), 1..40),
        after in prop::collection::vec(step(), 1..40),
    ) {
        let mut steps = before;
        steps.push(Step::Remember);
        steps.extend(between.into_iter().filter(|step| !matches!(step, Step::Remember)));
        steps.push(Step::RollBack);
        steps.extend(after);
        run(window, &steps).check(true);
    }
}
