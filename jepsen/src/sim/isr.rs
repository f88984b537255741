//! What leaders want changed in their in-sync sets, on its way to the controller and back.

use ottla::broker::alter_partition;
use ottla::broker::controller_service::{altering, partition_data};
use ottla::replica::isr_change::{IsrAnswer, IsrProposal};

use super::call::{AlterPartition, Asked, Caller, Command, Outcome};
use super::network::{Body, Message};
use super::node::broker;
use super::world::{Event, World};

const CALL_TIMEOUT: u64 = 150;

impl World<'_> {
    pub(super) fn send_isr(&mut self, node: usize) {
        let number = self.number();
        let boot = self.nodes.get(node).map_or(0, |node| node.boot);
        let me = broker(node);
        let Some(process) = self.process(node) else {
            return;
        };
        let Some(epoch) = process.epoch else {
            return;
        };
        if process.isr_call.is_some() {
            return;
        }
        // What the metadata have decided the replicas hear of from there.
        let image = process.publisher.image();
        let (standing, over): (Vec<_>, Vec<_>) = std::mem::take(&mut process.isr_waiting)
            .into_iter()
            .partition(|(_, proposal)| alter_partition::stands(&image, me, proposal));
        for (_, proposal) in over {
            process
                .replicas
                .isr_answered(&proposal, IsrAnswer::Ambiguous);
        }
        process.isr_waiting = standing.into_iter().collect();
        let asked: Vec<IsrProposal> = process.isr_waiting.values().cloned().collect();
        if asked.is_empty() {
            return;
        }
        let request = alter_partition::request(me, epoch, &asked);
        let command: AlterPartition = altering((me, epoch), &request);
        process.isr_call = Some((number, asked));
        self.schedule_on(node, CALL_TIMEOUT, Event::IsrTimedOut(number));
        let to = self.quorum.leader.unwrap_or(node);
        let by = Caller::Broker {
            node,
            boot,
            call: number,
        };
        let command = Command::AlterPartition(command);
        self.send(&Message {
            from: node,
            to,
            body: Body::Ask(Asked { command, by }),
        });
    }

    pub(super) fn isr_answered(&mut self, node: usize, outcome: Option<Outcome>) {
        let Some(process) = self.process(node) else {
            return;
        };
        let Some((_, asked)) = process.isr_call.take() else {
            return;
        };
        if let Some(Outcome::AlterPartition(Ok(topics))) = outcome {
            for proposal in asked {
                let key = proposal.key;
                let results = topics.iter().find(|(topic, _)| *topic == key.topic);
                let result = results.and_then(|(_, partitions)| {
                    partitions
                        .iter()
                        .find(|(index, _)| *index == key.partition.get())
                });
                let Some((index, result)) = result else {
                    continue;
                };
                let data = partition_data(*index, result.clone());
                let Some(answer) = alter_partition::answer(&data) else {
                    continue;
                };
                if process.isr_waiting.get(&key) == Some(&proposal) {
                    process.isr_waiting.remove(&key);
                }
                process.replicas.isr_answered(&proposal, answer);
            }
        }
        self.schedule_on(node, 5, Event::SendIsr);
    }
}
