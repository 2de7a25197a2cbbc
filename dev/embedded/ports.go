package embedded

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// loopback is the only address that anything here listens on.
const loopback = "127.0.0.1"

type ports struct{ frontend, history, matching, worker int }

// choosePorts finds ports that are free now. A frontend port that is wanted
// but taken is an error.
func choosePorts(ctx context.Context, frontend int) (ports, error) {
	free, err := FreePorts(ctx, frontend, 0, 0, 0)
	if err != nil {
		return ports{}, err
	}
	if frontend != 0 && free[0] != frontend {
		return ports{}, fmt.Errorf("port %d is taken", frontend)
	}
	return ports{frontend: free[0], history: free[1], matching: free[2], worker: free[3]}, nil
}

// FreePorts returns one TCP port of 127.0.0.1 for each preferred one: that one
// where it is free, another where it is 0 or taken. The ports differ from one
// another.
func FreePorts(ctx context.Context, preferred ...int) ([]int, error) {
	var lc net.ListenConfig
	out := make([]int, len(preferred))
	for i, want := range preferred {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(want)))
		if err != nil && want != 0 {
			l, err = lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() //nolint:errcheck // a listener that accepted nothing; closed at the end so that all ports differ
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("find a free port: unexpected address %s", l.Addr())
		}
		out[i] = addr.Port
	}
	return out, nil
}
