package main

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

func (f *franz) groups(ctx context.Context, r request) (answer, error) {
	switch r.Op {
	case "list_groups":
		listed, err := f.admin.ListGroups(ctx)
		states := map[string]string{}
		for name, group := range listed {
			states[name] = group.State
		}
		return answer{"groups": states}, err
	case "describe_group":
		return f.describeGroup(ctx, r.Group)
	case "group_offsets":
		found, err := f.admin.FetchOffsets(ctx, r.Group)
		if err == nil {
			err = found.Error()
		}
		offsets := map[int32]int64{}
		found.Each(func(one kadm.OffsetResponse) { offsets[one.Partition] = one.At })
		return answer{"offsets": offsets}, err
	case "alter_group_offsets":
		offsets := kadm.Offsets{}
		for partition, offset := range r.Offsets {
			offsets.AddOffset(r.Topic, partition, offset, -1)
		}
		return nil, f.admin.CommitAllOffsets(ctx, r.Group, offsets)
	case "delete_group_offsets":
		which := kadm.TopicsSet{}
		which.Add(r.Topic, r.Partition)
		answers, err := f.admin.DeleteOffsets(ctx, r.Group, which)
		if err == nil {
			err = answers.Error()
		}
		return nil, err
	case "delete_group":
		_, err := f.admin.DeleteGroup(ctx, r.Group)
		return nil, err
	}
	return nil, errUnsupported
}

func (f *franz) describeGroup(ctx context.Context, name string) (answer, error) {
	described, err := f.admin.DescribeGroups(ctx, name)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return nil, err
	}
	group := described[name]
	members := [][]int32{}
	for _, member := range group.Members {
		partitions := []int32{}
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				partitions = append(partitions, topic.Partitions...)
			}
		}
		slices.Sort(partitions)
		members = append(members, partitions)
	}
	return answer{"state": group.State, "assignor": group.Protocol, "partitions": members}, nil
}
