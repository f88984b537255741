package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// saramaMember owns a partition as long as a claim of it runs. Sarama's Commit tells nothing: what is refused comes as
// an error, what was accepted is seen only by who asks the coordinator.
type saramaMember struct {
	topic   string
	group   sarama.ConsumerGroup
	log     *eventLog
	leaving context.CancelFunc
	done    chan struct{}
}

func joinSarama(bootstrap []string, config *sarama.Config, r request) (member, error) {
	log, err := openLog(r)
	if err != nil {
		return nil, err
	}
	strategy := map[string]sarama.BalanceStrategy{"range": sarama.NewBalanceStrategyRange(),
		"roundrobin": sarama.NewBalanceStrategyRoundRobin(), "sticky": sarama.NewBalanceStrategySticky(),
		"cooperative-sticky": sarama.NewBalanceStrategyCooperativeSticky()}[r.Assignor]
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	config.Consumer.Group.Rebalance.Retry.Backoff = 100 * time.Millisecond
	config.Consumer.Group.Session.Timeout = time.Duration(r.Session) * time.Millisecond
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Group.InstanceId = r.Instance
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Metadata.RefreshFrequency = time.Second
	group, err := sarama.NewConsumerGroup(bootstrap, r.Group, config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &saramaMember{r.Topic, group, log, cancel, make(chan struct{})}
	go func() {
		for err := range group.Errors() {
			m.log.failed("error", err)
		}
	}()
	go m.run(ctx)
	return m, nil
}

func (m *saramaMember) leave() error {
	m.leaving()
	<-m.done
	return nil
}

func (m *saramaMember) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		err := m.group.Consume(ctx, []string{m.topic}, m)
		if err != nil && !errors.Is(err, context.Canceled) {
			m.log.failed("error", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	if err := m.group.Close(); err != nil {
		m.log.failed("error", err)
	}
	m.log.say("left", answer{})
}

func (m *saramaMember) Setup(sarama.ConsumerGroupSession) error { return nil }

func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim takes what is there, and then commits it.
func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	owned, generation := []int32{claim.Partition()}, session.GenerationID()
	m.log.changed("assigned", owned, generation, session.MemberID())
	for m.takeSome(session, claim) {
		// A claim that a cooperative rebalance leaves alone goes on in the next generation.
		if now := session.GenerationID(); now != generation {
			generation = now
			m.log.changed("assigned", owned, generation, session.MemberID())
		}
		m.log.say("committing", answer{})
		session.Commit()
		m.log.say("returned", answer{})
	}
	m.log.changed("revoked", owned, session.GenerationID(), session.MemberID())
	return nil
}

// takeSome waits for a record and takes those that have come with it; false when the claim has ended.
func (m *saramaMember) takeSome(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) bool {
	for waiting := 0; ; waiting-- {
		select {
		case message, ok := <-claim.Messages():
			if !ok {
				return false
			}
			m.take(session, message)
			if waiting == 0 {
				waiting = len(claim.Messages()) + 1
			}
		case <-session.Context().Done():
			return false
		}
		if waiting == 1 {
			return true
		}
	}
}

func (m *saramaMember) take(session sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) {
	if m.log.take(saramaRecord(message)) {
		session.MarkMessage(message, "")
	}
}
