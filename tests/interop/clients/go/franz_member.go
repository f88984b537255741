package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type franzMember struct {
	topic   string
	client  *kgo.Client
	log     *eventLog
	leaving context.CancelFunc
	done    chan struct{}
	// Not committed yet; polling and callbacks exclude each other.
	pending map[int32]int64
}

func joinFranz(bootstrap []string, r request) (member, error) {
	log, err := openLog(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &franzMember{topic: r.Topic, log: log, leaving: cancel, done: make(chan struct{}), pending: map[int32]int64{}}
	balancer := map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
		"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
		"uniform": kgo.StickyBalancer()}[r.Assignor]
	options := []kgo.Opt{kgo.SeedBrokers(bootstrap...), kgo.ConsumerGroup(r.Group), kgo.ConsumeTopics(r.Topic),
		kgo.Balancers(balancer), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.SessionTimeout(time.Duration(r.Session) * time.Millisecond), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.revoked), kgo.OnPartitionsLost(m.lost)}
	if r.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer())
	}
	if r.Instance != "" {
		options = append(options, kgo.InstanceID(r.Instance))
	}
	if m.client, err = kgo.NewClient(options...); err != nil {
		cancel()
		return nil, err
	}
	go m.run(ctx)
	return m, nil
}

func (m *franzMember) leave() error {
	m.leaving()
	<-m.done
	return nil
}

func (m *franzMember) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		fetches := m.client.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.Canceled) {
				m.log.failed("error", err)
			}
		})
		fetches.EachRecord(func(rec *kgo.Record) {
			if m.log.take(franzRecord(rec)) {
				m.pending[rec.Partition] = rec.Offset + 1
			}
		})
		m.settle()
		m.client.AllowRebalance()
	}
	m.client.CloseAllowingRebalance()
	m.log.say("left", answer{})
}

// settle commits what was taken; what is refused stays due.
func (m *franzMember) settle() {
	if len(m.pending) == 0 {
		return
	}
	offsets := map[string]map[int32]kgo.EpochOffset{m.topic: {}}
	for partition, next := range m.pending {
		offsets[m.topic][partition] = kgo.EpochOffset{Epoch: -1, Offset: next}
	}
	m.log.say("committing", answer{})
	var refused error
	m.client.CommitOffsetsSync(context.Background(), offsets,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			refused = errors.Join(err, commitErrors(response))
		})
	if refused != nil {
		m.log.failed("refused", refused)
		return
	}
	m.log.committed(maps.Clone(m.pending))
	clear(m.pending)
}

func (m *franzMember) assigned(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	id, generation := client.GroupMetadata()
	m.log.changed("assigned", partitions[m.topic], generation, id)
}

func (m *franzMember) revoked(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	m.settle()
	m.gone("revoked", client, partitions)
}

func (m *franzMember) lost(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	m.gone("lost", client, partitions)
}

func (m *franzMember) gone(event string, client *kgo.Client, partitions map[string][]int32) {
	for _, partition := range partitions[m.topic] {
		delete(m.pending, partition)
	}
	id, generation := client.GroupMetadata()
	m.log.changed(event, partitions[m.topic], generation, id)
}

func commitErrors(response *kmsg.OffsetCommitResponse) error {
	if response == nil {
		return nil
	}
	var all []error
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			all = append(all, kerr.ErrorForCode(partition.ErrorCode))
		}
	}
	return errors.Join(all...)
}
