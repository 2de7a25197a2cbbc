package ratelimit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ratelimit"
)

type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

func TestTake(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	l := ratelimit.New(ratelimit.Rate{PerSecond: 2, Burst: 3}, 10, c.time)
	require.Equal(t, ratelimit.Standing{Limited: true, Allowed: true, Limit: 3, Remaining: 2, Reset: 500 * time.Millisecond}, l.Take("a"))
	require.Equal(t, 1, l.Take("a").Remaining)
	require.Equal(t, 0, l.Take("a").Remaining)
	require.Equal(t, ratelimit.Standing{Limited: true, Limit: 3, Reset: 1500 * time.Millisecond, RetryAfter: 500 * time.Millisecond}, l.Take("a"))
	require.True(t, l.Take("b").Allowed, "keys do not share a bucket")

	c.now = c.now.Add(500 * time.Millisecond)
	require.True(t, l.Take("a").Allowed, "the time that was told is enough")
	require.False(t, l.Take("a").Allowed)
	c.now = c.now.Add(time.Hour)
	require.Equal(t, 2, l.Take("a").Remaining, "the bucket holds no more than the burst")
}

func TestPeekTakesNothing(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	l := ratelimit.New(ratelimit.Rate{PerSecond: 1, Burst: 1}, 10, c.time)
	for range 3 {
		require.True(t, l.Peek("a").Allowed)
	}
	require.Zero(t, l.Len(), "a look makes no bucket")
	require.True(t, l.Take("a").Allowed)
	require.False(t, l.Peek("a").Allowed)
	require.Equal(t, time.Second, l.Peek("a").RetryAfter)
}

func TestMemoryIsBounded(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	l := ratelimit.New(ratelimit.Rate{PerSecond: 1, Burst: 1}, 100, c.time)
	l.Take("busy")
	for i := range 10_000 {
		l.Take(strconv.Itoa(i))
		require.False(t, l.Take("busy").Allowed, "a bucket in use is not forgotten")
	}
	require.Equal(t, 100, l.Len())
}

func TestOff(t *testing.T) {
	for _, r := range []ratelimit.Rate{{}, {PerSecond: 5}, {Burst: 5}} {
		l := ratelimit.New(r, 1, time.Now)
		for range 100 {
			require.Equal(t, ratelimit.Standing{Allowed: true}, l.Take("a"))
		}
		require.Zero(t, l.Len())
	}
}
