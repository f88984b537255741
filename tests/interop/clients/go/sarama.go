package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

type saramaDriver struct {
	bootstrap []string
	version   sarama.KafkaVersion
	client    sarama.Client
	admin     sarama.ClusterAdmin
	member    member
}

func saramaConfig(version sarama.KafkaVersion) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = version
	config.ClientID = "interop-sarama"
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	config.Consumer.Return.Errors = true
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 2_000_000
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	return config
}

func newSarama(bootstrap []string, version sarama.KafkaVersion) (*saramaDriver, error) {
	client, err := sarama.NewClient(bootstrap, saramaConfig(version))
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	return &saramaDriver{bootstrap, version, client, admin, nil}, err
}

func (s *saramaDriver) do(r request) (answer, error) {
	switch r.Op {
	case "hello":
		return answer{"version": "sarama " + version("github.com/IBM/sarama") + " as of " + s.version.String()}, nil
	case "metadata":
		return s.metadata()
	case "create_topic":
		configs := map[string]*string{}
		for key, value := range r.Configs {
			configs[key] = &value
		}
		detail := sarama.TopicDetail{NumPartitions: r.Partitions, ReplicationFactor: r.Replicas, ConfigEntries: configs}
		return nil, s.admin.CreateTopic(r.Topic, &detail, false)
	case "delete_topic":
		return nil, s.admin.DeleteTopic(r.Topic)
	case "create_partitions":
		return nil, s.admin.CreatePartitions(r.Topic, r.Count, nil, false)
	case "describe_configs":
		entries, err := s.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: r.Topic})
		configs := map[string]answer{}
		for _, e := range entries {
			configs[e.Name] = answer{"value": e.Value, "source": e.Source.String(), "default": e.Default}
		}
		return answer{"configs": configs}, err
	case "alter_configs":
		return nil, s.alterConfigs(r)
	case "delete_records":
		return nil, s.admin.DeleteRecords(r.Topic, map[int32]int64{r.Partition: r.Before})
	case "list_offsets":
		return s.listOffsets(r)
	case "log_dirs":
		return s.logDirs()
	case "produce":
		return s.produce(r)
	case "consume":
		return s.consume(r)
	case "join":
		var err error
		s.member, err = joinSarama(s.bootstrap, saramaConfig(s.version), r)
		return nil, err
	case "leave":
		return nil, s.member.leave()
	}
	return s.groups(r)
}

func (s *saramaDriver) metadata() (answer, error) {
	members, controller, err := s.admin.DescribeCluster()
	if err != nil {
		return nil, err
	}
	brokers := []answer{}
	for _, b := range members {
		brokers = append(brokers, answer{"id": b.ID(), "addr": b.Addr()})
	}
	listed, err := s.admin.ListTopics()
	if err != nil {
		return nil, err
	}
	names := []string{}
	for name := range listed {
		names = append(names, name)
	}
	described, err := s.admin.DescribeTopics(names)
	if err != nil {
		return nil, err
	}
	topics := map[string][]answer{}
	for _, topic := range described {
		if topic.Err == sarama.ErrUnknownTopicOrPartition {
			// Deleted since it was listed, or by a broker that has not heard of that yet.
			continue
		}
		if topic.Err != sarama.ErrNoError {
			return nil, topic.Err
		}
		partitions := make([]answer, len(topic.Partitions))
		for _, p := range topic.Partitions {
			partitions[p.ID] = answer{"p": p.ID, "leader": p.Leader, "replicas": p.Replicas, "isr": p.Isr}
		}
		topics[topic.Name] = partitions
	}
	return answer{"controller": controller, "brokers": brokers, "topics": topics}, nil
}

func (s *saramaDriver) alterConfigs(r request) error {
	if r.Mode == "legacy" {
		entries := map[string]*string{}
		for key, value := range r.Set {
			entries[key] = &value
		}
		return s.admin.AlterConfig(sarama.TopicResource, r.Topic, entries, false)
	}
	entries := map[string]sarama.IncrementalAlterConfigsEntry{}
	for key, value := range r.Set {
		entries[key] = sarama.IncrementalAlterConfigsEntry{
			Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
	}
	for _, key := range r.Delete {
		entries[key] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationDelete}
	}
	return s.admin.IncrementalAlterConfig(sarama.TopicResource, r.Topic, entries, false)
}

func (s *saramaDriver) listOffsets(r request) (answer, error) {
	var at int64
	switch {
	case string(r.At) == `"earliest"`:
		at = sarama.OffsetOldest
	case string(r.At) == `"latest"`:
		at = sarama.OffsetNewest
	case string(r.At) == `"max"`:
		at = -3
	case json.Unmarshal(r.At, &at) != nil:
		return nil, errUnsupported
	}
	if err := s.client.RefreshMetadata(r.Topic); err != nil {
		return nil, err
	}
	wanted := map[string]map[int32]int64{r.Topic: {r.Partition: at}}
	found, err := s.admin.ListOffsets(wanted, nil)
	if err != nil {
		return nil, err
	}
	one := found[r.Topic][r.Partition]
	if one == nil {
		return nil, fmt.Errorf("no answer for %s-%d", r.Topic, r.Partition)
	}
	if one.Err != sarama.ErrNoError {
		return nil, one.Err
	}
	return answer{"offset": one.Offset, "timestamp": one.Timestamp}, nil
}

func (s *saramaDriver) logDirs() (answer, error) {
	ids := []int32{}
	for _, b := range s.client.Brokers() {
		ids = append(ids, b.ID())
	}
	all, err := s.admin.DescribeLogDirs(ids)
	if err != nil {
		return nil, err
	}
	dirs := []answer{}
	for _, described := range all {
		for _, dir := range described {
			if dir.ErrorCode != sarama.ErrNoError {
				return nil, dir.ErrorCode
			}
			replicas := []answer{}
			for _, topic := range dir.Topics {
				for _, p := range topic.Partitions {
					replicas = append(replicas, answer{"topic": topic.Topic, "partition": p.PartitionID,
						"size": p.Size, "lag": p.OffsetLag})
				}
			}
			dirs = append(dirs, answer{"path": dir.Path, "replicas": replicas})
		}
	}
	return answer{"dirs": dirs}, nil
}

func (s *saramaDriver) produce(r request) (answer, error) {
	records, err := load(r.File)
	if err != nil {
		return nil, err
	}
	config := saramaConfig(s.version)
	config.Producer.Compression = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone,
		"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
		"zstd": sarama.CompressionZSTD}[r.Codec]
	config.Producer.RequiredAcks = map[string]sarama.RequiredAcks{"0": sarama.NoResponse,
		"1": sarama.WaitForLocal, "all": sarama.WaitForAll}[r.Acks]
	// Sarama demands one open request for idempotence; without it, a retry would change the order that is compared.
	config.Producer.Idempotent = r.Idempotent
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(s.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	messages := []*sarama.ProducerMessage{}
	for _, record := range records {
		message := &sarama.ProducerMessage{Topic: r.Topic, Partition: r.Partition}
		if record.Key != nil {
			message.Key = sarama.ByteEncoder(record.Key)
		}
		if record.Value != nil {
			message.Value = sarama.ByteEncoder(record.Value)
		}
		for _, h := range record.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(h.key), Value: h.value})
		}
		if record.Time != nil {
			message.Timestamp = time.UnixMilli(*record.Time)
		}
		messages = append(messages, message)
	}
	if err := producer.SendMessages(messages); err != nil {
		var failed sarama.ProducerErrors
		if errors.As(err, &failed) {
			return nil, fmt.Errorf("%w, the first: %w", err, failed[0].Err)
		}
		return nil, err
	}
	offsets := []int64{}
	for _, message := range messages {
		offsets = append(offsets, message.Offset)
	}
	return answer{"offsets": offsets}, nil
}

func (s *saramaDriver) consume(r request) (answer, error) {
	offset, timestamp, err := start(r.From)
	if err != nil {
		return nil, err
	}
	if err := s.client.RefreshMetadata(r.Topic); err != nil {
		return nil, err
	}
	if timestamp != nil {
		if offset, err = s.client.GetOffset(r.Topic, r.Partition, *timestamp); err != nil {
			return nil, err
		}
	}
	consumer, err := sarama.NewConsumerFromClient(s.client)
	if err != nil {
		return nil, err
	}
	partition, err := consumer.ConsumePartition(r.Topic, r.Partition, offset)
	if err != nil {
		return nil, err
	}
	defer partition.Close()
	var read []record
	deadline := time.After(timeout)
	for next := int64(-1); next < r.Until; {
		select {
		case message := <-partition.Messages():
			read = append(read, saramaRecord(message))
			next = message.Offset + 1
		case err := <-partition.Errors():
			return nil, err
		case <-deadline:
			return nil, fmt.Errorf("read %d records, next offset %d of %d, then nothing", len(read), next, r.Until)
		}
	}
	return answer{"read": len(read)}, store(r.Out, read)
}

func saramaRecord(message *sarama.ConsumerMessage) record {
	millis := message.Timestamp.UnixMilli()
	found := record{Partition: message.Partition, Offset: message.Offset, Time: &millis, Key: message.Key,
		Value: message.Value}
	for _, h := range message.Headers {
		found.Headers = append(found.Headers, header{string(h.Key), h.Value})
	}
	return found
}
