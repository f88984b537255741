// Command interop is the franz-go and the Sarama column of the table: one JSON request per line on stdin, one JSON
// answer per line on stdout. What a client has no call for is answered as `unsupported`.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/IBM/sarama"
)

// request holds every field that any operation has.
type request struct {
	Op         string            `json:"op"`
	Topic      string            `json:"topic"`
	Partition  int32             `json:"partition"`
	Partitions int32             `json:"partitions"`
	Replicas   int16             `json:"replicas"`
	Count      int32             `json:"count"`
	Configs    map[string]string `json:"configs"`
	Mode       string            `json:"mode"`
	Set        map[string]string `json:"set"`
	Delete     []string          `json:"delete"`
	Before     int64             `json:"before"`
	At         json.RawMessage   `json:"at"`
	From       json.RawMessage   `json:"from"`
	Until      int64             `json:"until"`
	File       string            `json:"file"`
	Out        string            `json:"out"`
	Codec      string            `json:"codec"`
	Acks       string            `json:"acks"`
	Idempotent bool              `json:"idempotent"`
	Group      string            `json:"group"`
	Instance   string            `json:"instance"`
	Protocol   string            `json:"protocol"`
	Assignor   string            `json:"assignor"`
	Session    int               `json:"session"`
	Limit      *int64            `json:"limit"`
	Log        string            `json:"log"`
	Offsets    map[int32]int64   `json:"offsets"`
}

type answer map[string]any

var errUnsupported = errors.New("unsupported")

type driver interface {
	do(request) (answer, error)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: interop franz|sarama|sarama-2.1 BOOTSTRAP,...")
		os.Exit(2)
	}
	bootstrap := strings.Split(os.Args[2], ",")
	var d driver
	var err error
	switch os.Args[1] {
	case "franz":
		d, err = newFranz(bootstrap)
	case "sarama":
		d, err = newSarama(bootstrap, sarama.MaxVersion)
	case "sarama-2.1":
		d, err = newSarama(bootstrap, sarama.V2_1_0_0)
	default:
		err = fmt.Errorf("unknown client %q", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var r request
		err := json.Unmarshal(lines.Bytes(), &r)
		a := answer{}
		if err == nil {
			a, err = d.do(r)
		}
		switch {
		case errors.Is(err, errUnsupported):
			a = answer{"ok": false, "unsupported": true}
		case err != nil:
			a = answer{"ok": false, "error": err.Error()}
		default:
			if a == nil {
				a = answer{}
			}
			a["ok"] = true
		}
		if err := out.Encode(a); err != nil {
			os.Exit(1)
		}
	}
}
