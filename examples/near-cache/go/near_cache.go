// A near cache in front of a hotshelf node: `near_cache 8080 http://127.0.0.1:7400`.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const bound = 2 * time.Second // the nodes' coherence.staleness_bound_ms; less is possible, more is not

// A hot product. What was asked for before `barrier` may miss a change that nobody tells any more, what is below `floor` misses one.
type slot struct {
	barrier time.Time
	floor   uint64
	header  http.Header // of the copy, which is of the version `floor`; nil without one
	body    []byte
	until   time.Time // from then on it may be another document without any change
}

type event struct {
	Namespace, ID        string
	Changes, Bumps, Keys []struct{ Namespace, ID, Version string }
	UntilMs              int64 `json:"until_ms"`
}

var (
	node, _   = url.Parse(os.Args[2])
	transport = &http.Transport{MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: 2 * bound}
	streams   = &http.Client{Transport: transport, Timeout: 10 * time.Minute} // then anew: two machines' clocks drift apart
	mutex     sync.Mutex
	hot       = map[string]slot{}
	proven    time.Time // all changes up to this moment were told
)

// Without a copy. The node knows what it has told; if another one could answer, which is behind it, this would be later by the bound.
func empty() slot { return slot{barrier: time.Now()} }

func apply(name string, event event, opened time.Time) {
	mutex.Lock()
	defer mutex.Unlock()
	switch name {
	case "/v1/changes proof": // of a moment so long after the node began this stream, which we had asked for before
		proven = opened.Add(time.Duration(event.UntilMs) * time.Millisecond)
	case "/v1/hot reset":
		hot = map[string]slot{}
	case "/v1/hot promote":
		hot[event.ID] = empty()
	case "/v1/hot demote":
		delete(hot, event.ID)
	}
	for _, key := range event.Keys {
		hot[key.ID] = empty()
	}
	for _, change := range event.Changes {
		held, isHot := hot[change.ID]
		if version := number(change.Version); isHot && change.Namespace == "products" && held.floor < version {
			hot[change.ID] = slot{barrier: held.barrier, floor: version}
		}
	}
	for id := range hot {
		if name == "/v1/changes reset" || event.Bumps != nil {
			hot[id] = empty()
		}
	}
}

// Follows server-sent events for ever; goes on after the last one when they end or fall silent.
func follow(path string) {
	for since := ""; ; time.Sleep(bound / 20) {
		opened := time.Now()
		response, err := streams.Get(node.String() + path + since)
		if err != nil {
			continue
		}
		silence := time.AfterFunc(3*bound, func() { response.Body.Close() })
		lines, fields := bufio.NewScanner(response.Body), map[string]string{}
		for lines.Buffer(nil, 1<<28); response.StatusCode == http.StatusOK && lines.Scan(); silence.Reset(3 * bound) {
			if name, value, isField := strings.Cut(lines.Text(), ": "); isField {
				fields[name] = value
				continue
			}
			var event event
			json.Unmarshal([]byte(fields["data"]), &event)
			apply(path+" "+fields["event"], event, opened)
			if fields["id"] != "" {
				since = "?since=" + fields["id"]
			}
			fields = map[string]string{}
		}
		response.Body.Close()
	}
}

func read(writer http.ResponseWriter, request *http.Request) {
	id, asked := strings.TrimPrefix(request.Method+" "+request.URL.RequestURI(), "GET /v1/products/"), time.Now()
	mutex.Lock()
	held, isProven := hot[id], asked.Sub(proven) <= bound
	mutex.Unlock()
	least := number(request.Header.Get("Hotshelf-Min-Version"))
	if held.header != nil && held.floor >= least && isProven && asked.Before(held.until) {
		writer.Header()["Content-Type"] = held.header["Content-Type"]
		writer.Header()["Hotshelf-Version"] = held.header["Hotshelf-Version"]
		writer.Header()["Cache-Status"] = []string{"near; hit; detail=near"}
		writer.Write(held.body)
		return
	}
	request.Header.Set("Accept-Encoding", "identity")
	proxy := httputil.NewSingleHostReverseProxy(node)
	proxy.Transport = transport
	proxy.ModifyResponse = func(response *http.Response) error { return keep(id, asked, response) }
	proxy.ServeHTTP(writer, request)
}

func keep(id string, asked time.Time, response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	// A miss tells no time to live, and a stale answer a negative one: neither is to be served from here.
	version, ttl := number(response.Header.Get("Hotshelf-Version")), 0
	fmt.Sscanf(response.Header.Get("Cache-Status"), "hotshelf; hit; ttl=%d", &ttl)
	isDocument := err == nil && response.StatusCode == http.StatusOK && ttl > 0
	mutex.Lock()
	defer mutex.Unlock()
	if held, isHot := hot[id]; isHot && isDocument && asked.After(held.barrier) && version >= held.floor {
		hot[id] = slot{held.barrier, version, response.Header.Clone(), body, asked.Add(time.Duration(ttl) * time.Second)}
	}
	return err
}

func number(version string) uint64 {
	var timeline, sequence uint64
	fmt.Sscanf(version, "%d-%d", &timeline, &sequence)
	return timeline<<40 | sequence
}

func main() {
	go follow("/v1/hot")
	go follow("/v1/changes")
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(read)))
}
