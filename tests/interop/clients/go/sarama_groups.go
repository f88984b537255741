package main

import (
	"slices"

	"github.com/IBM/sarama"
)

func (s *saramaDriver) groups(r request) (answer, error) {
	switch r.Op {
	case "list_groups":
		listed, err := s.admin.ListConsumerGroups()
		states := map[string]string{}
		for name := range listed {
			states[name] = ""
		}
		return answer{"groups": states}, err
	case "describe_group":
		return s.describeGroup(r.Group)
	case "group_offsets":
		found, err := s.admin.ListConsumerGroupOffsets(r.Group, nil)
		if err != nil {
			return nil, err
		}
		offsets := map[int32]int64{}
		for _, partitions := range found.Blocks {
			for partition, block := range partitions {
				offsets[partition] = block.Offset
			}
		}
		return answer{"offsets": offsets}, kerror(found.Err)
	case "alter_group_offsets":
		wanted := map[int32]sarama.OffsetAndMetadata{}
		for partition, offset := range r.Offsets {
			wanted[partition] = sarama.OffsetAndMetadata{Offset: offset, LeaderEpoch: -1}
		}
		answers, err := s.admin.AlterConsumerGroupOffsets(r.Group,
			map[string]map[int32]sarama.OffsetAndMetadata{r.Topic: wanted}, nil)
		if err != nil {
			return nil, err
		}
		for _, partitions := range answers.Errors {
			for _, code := range partitions {
				if err := kerror(code); err != nil {
					return nil, err
				}
			}
		}
		return nil, nil
	case "delete_group_offsets":
		return nil, s.admin.DeleteConsumerGroupOffset(r.Group, r.Topic, r.Partition)
	case "delete_group":
		return nil, s.admin.DeleteConsumerGroup(r.Group)
	}
	return nil, errUnsupported
}

func (s *saramaDriver) describeGroup(name string) (answer, error) {
	described, err := s.admin.DescribeConsumerGroups([]string{name})
	if err != nil {
		return nil, err
	}
	group := described[0]
	members := [][]int32{}
	for _, member := range group.Members {
		assigned, err := member.GetMemberAssignment()
		if err != nil {
			return nil, err
		}
		partitions := []int32{}
		if assigned != nil {
			for _, some := range assigned.Topics {
				partitions = append(partitions, some...)
			}
		}
		slices.Sort(partitions)
		members = append(members, partitions)
	}
	return answer{"state": group.State, "assignor": group.Protocol, "partitions": members}, kerror(group.Err)
}

// kerror is nil for the code that says that nothing is wrong.
func kerror(code sarama.KError) error {
	if code == sarama.ErrNoError {
		return nil
	}
	return code
}
