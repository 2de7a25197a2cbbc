package models_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
)

func TestIDsSortByTime(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	var ids []string
	for range 1000 {
		ids = append(ids, models.NewID())
		require.Regexp(t, uuid, ids[len(ids)-1])
	}
	require.True(t, slices.IsSorted(ids))
	require.Len(t, slices.Compact(ids), 1000)
}

// TestLifecycle holds every legal move; what is not here is illegal.
func TestLifecycle(t *testing.T) {
	legal := map[models.VMStatus][]models.VMStatus{
		models.VMPending:  {models.VMActive, models.VMError, models.VMDeleting},
		models.VMActive:   {models.VMDeleting, models.VMError},
		models.VMError:    {models.VMDeleting, models.VMActive, models.VMPending},
		models.VMDeleting: {models.VMDeleted, models.VMError},
		models.VMDeleted:  nil,
	}
	for _, from := range models.VMStatuses() {
		for _, to := range models.VMStatuses() {
			require.Equal(t, from == to || slices.Contains(legal[from], to), from.CanBecome(to), "%s to %s", from, to)
		}
	}
}

// TestAllowedStates is the whole matrix of operation and state.
func TestAllowedStates(t *testing.T) {
	powers := map[models.OperationKind]map[models.PowerState]bool{
		models.OpVMStart:  {models.PowerStopped: true, models.PowerUnknown: true, models.PowerRunning: true},
		models.OpVMReboot: {models.PowerRunning: true},
	}
	statuses := map[models.OperationKind][]models.VMStatus{
		models.OpVMStart:  {models.VMActive},
		models.OpVMReboot: {models.VMActive},
		models.OpVMStop:   {models.VMActive, models.VMError},
		models.OpVMUpdate: {models.VMPending, models.VMActive, models.VMError},
		models.OpVMDelete: {models.VMPending, models.VMActive, models.VMError, models.VMDeleting},
	}
	for kind, allowed := range statuses {
		spec, ok := models.OperationOf(kind)
		require.True(t, ok)
		for _, status := range models.VMStatuses() {
			for _, power := range models.PowerStates() {
				want := slices.Contains(allowed, status)
				if only, limited := powers[kind]; limited && status == models.VMActive {
					want = want && only[power]
				}
				require.Equal(t, want, spec.Allowed.Allow(status, power), "%s while %s, %s", kind, status, power)
			}
		}
	}
}

func TestOperationTableIsConsistent(t *testing.T) {
	kinds, workflows := map[models.OperationKind]bool{}, map[string]bool{}
	for _, spec := range models.Operations() {
		require.False(t, kinds[spec.Kind], spec.Kind)
		if spec.Kind != models.OpVMRetry { // runs the job of the create again, and is no job of its own
			require.False(t, workflows[spec.Workflow], spec.Workflow)
			workflows[spec.Workflow] = true
		}
		kinds[spec.Kind] = true
		noun, _, _ := strings.Cut(string(spec.Kind), ".")
		want := []string{string(spec.Resource)}
		if spec.Resource == models.ResourceVM { // a part of a VM is worked on with the VM's lock
			want = append(want, "snapshot", "disk", "nic")
		}
		require.Contains(t, want, noun)
		require.NotEmpty(t, spec.Title)
	}
	_, ok := models.OperationOf("vm.fly")
	require.False(t, ok)
}

func TestConditions(t *testing.T) {
	first, later := time.Unix(1, 0), time.Unix(2, 0)
	var vm models.VM
	require.False(t, vm.SetCondition(models.CondMissing, false, "", first))
	require.True(t, vm.SetCondition(models.CondMissing, true, "not seen", first))
	require.False(t, vm.SetCondition(models.CondMissing, true, "not seen", later))
	require.Equal(t, []models.Condition{{Type: models.CondMissing, Reason: "not seen", Since: first}}, vm.Conditions)
	require.True(t, vm.SetCondition(models.CondMissing, false, "", later))
	require.Empty(t, vm.Conditions)
}

func TestKeySecrets(t *testing.T) {
	secret, hash := models.NewKeySecret()
	other, otherHash := models.NewKeySecret()
	require.Regexp(t, `^hcp_[A-Za-z0-9_-]{43}$`, secret)
	require.NotEqual(t, secret, other)
	require.NotEqual(t, hash, otherHash)
	require.Len(t, hash, 32)
	now, before, after := time.Unix(2, 0), time.Unix(1, 0), time.Unix(3, 0)
	key := models.ServiceAccountKey{SecretHash: hash}
	require.True(t, key.SecretMatches(secret))
	for _, wrong := range []string{"", other, secret[:len(secret)-1], secret + "x", string(hash)} {
		require.False(t, key.SecretMatches(wrong))
	}
	require.False(t, models.ServiceAccountKey{}.SecretMatches(""), "a key without a hash has no secret")
	require.NotContains(t, fmt.Sprintf("%+v", key), secret)
	for _, tc := range []struct {
		expires, revoked *time.Time
		live             bool
	}{{nil, nil, true}, {&after, nil, true}, {&now, nil, false}, {&before, nil, false}, {nil, &before, false}, {&after, &before, false}} {
		require.Equal(t, tc.live, models.ServiceAccountKey{ExpiresAt: tc.expires, RevokedAt: tc.revoked}.LiveAt(now))
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := models.Credentials{Username: "root", Password: "hunter2", Token: "hunter2", ClientKey: "hunter2"}
	b := models.Blueprint{UserData: []byte("hunter2")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, c), "hunter2")
		require.NotContains(t, fmt.Sprintf(verb, b), "hunter2")
	}
	raw, err := json.Marshal(c) // the one way out, for sealing
	require.NoError(t, err)
	require.Contains(t, string(raw), "hunter2")
}

// TestQuotaAmounts: every limit has its own dimension.
func TestQuotaAmounts(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	limits := models.QuotaLimits{VMs: n(1), VCPUs: n(2), MemoryMiB: n(3), DiskGiB: n(4), Snapshots: n(5), Addresses: n(6)}
	usage := models.QuotaUsage{VMs: 11, VCPUs: 12, MemoryMiB: 13, DiskGiB: 14, Snapshots: 15, Addresses: 16}
	dimensions := []models.QuotaDimension{"vms", "vcpus", "memory_mib", "disk_gib", "snapshots", "addresses"}
	for i, a := range limits.Amounts(usage) {
		require.Equal(t, dimensions[i], a.Dimension)
		require.Equal(t, []int64{int64(i + 1), int64(i + 11)}, []int64{*a.Limit, a.Used})
		other := limits
		require.True(t, limits.Equal(other))
		switch a.Dimension {
		case models.QuotaVMs:
			other.VMs = nil
		case models.QuotaVCPUs:
			other.VCPUs = n(0)
		case models.QuotaMemoryMiB:
			other.MemoryMiB = n(0)
		case models.QuotaDiskGiB:
			other.DiskGiB = nil
		case models.QuotaSnapshots:
			other.Snapshots = n(0)
		case models.QuotaAddresses:
			other.Addresses = nil
		}
		require.False(t, limits.Equal(other), a.Dimension)
	}
}
