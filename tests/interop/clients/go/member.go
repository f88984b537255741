package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// member is a consumer that has joined a group.
type member interface {
	leave() error
}

// eventLog is where a member says what happens to it (lib/members.py): a line for each event.
type eventLog struct {
	mutex sync.Mutex
	file  *os.File
	left  int64
}

func openLog(r request) (*eventLog, error) {
	file, err := os.OpenFile(r.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	left := int64(-1)
	if r.Limit != nil {
		left = *r.Limit
	}
	return &eventLog{file: file, left: left}, err
}

// say writes without a buffer: what was said before a kill -9 is in the file.
func (l *eventLog) say(event string, more answer) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.write(event, more)
}

func (l *eventLog) write(event string, more answer) {
	more["e"], more["at"] = event, monotonic()
	line, err := json.Marshal(more)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// take says that a record was processed, unless the member has had as many as it was asked for.
func (l *eventLog) take(r record) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.left == 0 {
		return false
	}
	l.left--
	if r.Headers == nil {
		r.Headers = []header{}
	}
	l.write("record", answer{"p": r.Partition, "o": r.Offset, "t": r.Time, "k": r.Key, "v": r.Value, "h": r.Headers})
	return true
}

func (l *eventLog) changed(event string, partitions []int32, generation int32, member string) {
	slices.Sort(partitions)
	if partitions == nil {
		partitions = []int32{}
	}
	l.say(event, answer{"p": partitions, "gen": generation, "member": member})
}

func (l *eventLog) failed(event string, err error) {
	l.say(event, answer{"error": err.Error()})
}

func (l *eventLog) committed(offsets map[int32]int64) {
	l.say("committed", answer{"offsets": offsets})
}

// monotonic is CLOCK_MONOTONIC in nanoseconds, which all processes of a machine read alike.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}
