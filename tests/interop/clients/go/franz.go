package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const timeout = 15 * time.Second

type franz struct {
	bootstrap []string
	client    *kgo.Client
	admin     *kadm.Client
	member    member
}

func newFranz(bootstrap []string) (*franz, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return &franz{bootstrap, client, kadm.NewClient(client), nil}, nil
}

func (f *franz) do(r request) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	switch r.Op {
	case "hello":
		return answer{"version": "franz-go " + version("github.com/twmb/franz-go")}, nil
	case "api_versions":
		return f.apiVersions(ctx)
	case "metadata":
		return f.metadata(ctx)
	case "create_topic":
		configs := map[string]*string{}
		for key, value := range r.Configs {
			configs[key] = kadm.StringPtr(value)
		}
		_, err := f.admin.CreateTopic(ctx, r.Partitions, r.Replicas, configs, r.Topic)
		return nil, err
	case "delete_topic":
		_, err := f.admin.DeleteTopic(ctx, r.Topic)
		return nil, err
	case "create_partitions":
		answers, err := f.admin.UpdatePartitions(ctx, int(r.Count), r.Topic)
		if err == nil {
			err = answers.Error()
		}
		return nil, err
	case "describe_configs":
		return f.describeConfigs(ctx, r)
	case "alter_configs":
		return nil, f.alterConfigs(ctx, r)
	case "delete_records":
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: r.Topic, Partition: r.Partition, At: r.Before, LeaderEpoch: -1})
		answers, err := f.admin.DeleteRecords(ctx, offsets)
		if err != nil {
			return nil, err
		}
		one, _ := answers.Lookup(r.Topic, r.Partition)
		return answer{"low": one.LowWatermark}, one.Err
	case "list_offsets":
		return f.listOffsets(ctx, r)
	case "log_dirs":
		return f.logDirs(ctx)
	case "produce":
		return f.produce(ctx, r)
	case "consume":
		return f.consume(ctx, r)
	case "join":
		var err error
		f.member, err = joinFranz(f.bootstrap, r)
		return nil, err
	case "leave":
		return nil, f.member.leave()
	}
	return f.groups(ctx, r)
}

func (f *franz) apiVersions(ctx context.Context) (answer, error) {
	brokers, err := f.admin.ApiVersions(ctx)
	if err != nil {
		return nil, err
	}
	apis := map[string][2]int16{}
	for _, broker := range brokers {
		if broker.Err != nil {
			return nil, broker.Err
		}
		broker.EachKeySorted(func(key, low, high int16) { apis[fmt.Sprint(key)] = [2]int16{low, high} })
	}
	return answer{"apis": apis}, nil
}

func (f *franz) metadata(ctx context.Context) (answer, error) {
	metadata, err := f.admin.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	brokers := []answer{}
	for _, b := range metadata.Brokers {
		brokers = append(brokers, answer{"id": b.NodeID, "host": b.Host, "port": b.Port})
	}
	topics := map[string][]answer{}
	for name, topic := range metadata.Topics {
		if topic.Err != nil {
			return nil, topic.Err
		}
		for _, p := range topic.Partitions.Sorted() {
			topics[name] = append(topics[name],
				answer{"p": p.Partition, "leader": p.Leader, "replicas": p.Replicas, "isr": p.ISR})
		}
	}
	return answer{"cluster": metadata.Cluster, "controller": metadata.Controller, "brokers": brokers,
		"topics": topics}, nil
}

func (f *franz) describeConfigs(ctx context.Context, r request) (answer, error) {
	answers, err := f.admin.DescribeTopicConfigs(ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	one, err := answers.On(r.Topic, nil)
	if err != nil {
		return nil, err
	}
	configs := map[string]answer{}
	for _, c := range one.Configs {
		configs[c.Key] = answer{"value": c.Value, "source": c.Source.String()}
	}
	return answer{"configs": configs}, one.Err
}

func (f *franz) alterConfigs(ctx context.Context, r request) error {
	var changes []kadm.AlterConfig
	for key, value := range r.Set {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr(value)})
	}
	for _, key := range r.Delete {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	alter := f.admin.AlterTopicConfigs
	if r.Mode == "legacy" {
		alter = f.admin.AlterTopicConfigsState
	}
	answers, err := alter(ctx, changes, r.Topic)
	if err != nil {
		return err
	}
	one, err := answers.On(r.Topic, nil)
	if err != nil {
		return err
	}
	return one.Err
}

func (f *franz) listOffsets(ctx context.Context, r request) (answer, error) {
	var millis int64
	var listed kadm.ListedOffsets
	var err error
	switch {
	case string(r.At) == `"earliest"`:
		listed, err = f.admin.ListStartOffsets(ctx, r.Topic)
	case string(r.At) == `"latest"`:
		listed, err = f.admin.ListEndOffsets(ctx, r.Topic)
	case string(r.At) == `"max"`:
		listed, err = f.admin.ListMaxTimestampOffsets(ctx, r.Topic)
	case json.Unmarshal(r.At, &millis) == nil:
		listed, err = f.admin.ListOffsetsAfterMilli(ctx, millis, r.Topic)
	default:
		return nil, errUnsupported
	}
	if err != nil {
		return nil, err
	}
	one, _ := listed.Lookup(r.Topic, r.Partition)
	return answer{"offset": one.Offset, "timestamp": one.Timestamp}, one.Err
}

func (f *franz) logDirs(ctx context.Context) (answer, error) {
	all, err := f.admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil, err
	}
	dirs := []answer{}
	for _, dir := range all.Sorted() {
		if dir.Err != nil {
			return nil, dir.Err
		}
		replicas := []answer{}
		for topic, partitions := range dir.Topics {
			for id, p := range partitions {
				replicas = append(replicas, answer{"topic": topic, "partition": id, "size": p.Size, "lag": p.OffsetLag})
			}
		}
		dirs = append(dirs, answer{"path": dir.Dir, "replicas": replicas, "total": dir.TotalBytes,
			"usable": dir.UsableBytes})
	}
	return answer{"dirs": dirs}, nil
}

func (f *franz) produce(ctx context.Context, r request) (answer, error) {
	records, err := load(r.File)
	if err != nil {
		return nil, err
	}
	codec := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[r.Codec]
	acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}[r.Acks]
	options := []kgo.Opt{kgo.SeedBrokers(f.bootstrap...), kgo.ProducerBatchCompression(codec), kgo.RequiredAcks(acks),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5 * time.Millisecond),
		kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(50 * time.Millisecond)}
	if !r.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var sent []*kgo.Record
	for _, r0 := range records {
		rec := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r0.Key, Value: r0.Value}
		for _, h := range r0.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.key, Value: h.value})
		}
		if r0.Time != nil {
			rec.Timestamp = time.UnixMilli(*r0.Time)
		}
		sent = append(sent, rec)
	}
	results := client.ProduceSync(ctx, sent...)
	offsets := make([]int64, len(results))
	place := map[*kgo.Record]int{}
	for i, rec := range sent {
		place[rec] = i
	}
	for _, result := range results {
		if result.Err != nil {
			return nil, result.Err
		}
		offsets[place[result.Record]] = result.Record.Offset
	}
	return answer{"offsets": offsets}, nil
}

func (f *franz) consume(ctx context.Context, r request) (answer, error) {
	offset, timestamp, err := start(r.From)
	if err != nil {
		return nil, err
	}
	at := kgo.NewOffset().At(offset)
	if timestamp != nil {
		at = kgo.NewOffset().AfterMilli(*timestamp)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(f.bootstrap...), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: {r.Partition: at}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var read []record
	for next := int64(-1); next < r.Until; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %d records, next offset %d of %d: %w", len(read), next, r.Until, err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			read = append(read, franzRecord(rec))
			next = rec.Offset + 1
		})
	}
	return answer{"read": len(read)}, store(r.Out, read)
}

func franzRecord(rec *kgo.Record) record {
	millis := rec.Timestamp.UnixMilli()
	found := record{Partition: rec.Partition, Offset: rec.Offset, Time: &millis, Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		found.Headers = append(found.Headers, header{h.Key, h.Value})
	}
	return found
}
