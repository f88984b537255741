package main

import (
	"bufio"
	"encoding/json"
	"os"
	"runtime/debug"
)

// record is one line of a record file; []byte is base64 in JSON, and null is nil.
type record struct {
	Partition int32    `json:"p"`
	Offset    int64    `json:"o"`
	Time      *int64   `json:"t"`
	Key       []byte   `json:"k"`
	Value     []byte   `json:"v"`
	Headers   []header `json:"h"`
}

type header struct {
	key   string
	value []byte
}

func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.key, h.value}) }

func (h *header) UnmarshalJSON(text []byte) error {
	pair := [2]any{&h.key, &h.value}
	return json.Unmarshal(text, &pair)
}

func load(path string) ([]record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var records []record
	for decoder := json.NewDecoder(bufio.NewReader(file)); decoder.More(); {
		var r record
		if err := decoder.Decode(&r); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func store(path string, records []record) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	for _, r := range records {
		if r.Headers == nil {
			r.Headers = []header{}
		}
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// start reads the `from` of a consume request: "beginning", an offset, or {"timestamp": ms}.
func start(from json.RawMessage) (offset int64, timestamp *int64, err error) {
	var word string
	if json.Unmarshal(from, &word) == nil {
		return -2, nil, nil
	}
	if json.Unmarshal(from, &offset) == nil {
		return offset, nil, nil
	}
	var at struct {
		Timestamp int64 `json:"timestamp"`
	}
	err = json.Unmarshal(from, &at)
	return 0, &at.Timestamp, err
}

// version is the number of a linked module.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return "?"
}
