package embedded

import (
	"time"

	"go.temporal.io/server/common/dynamicconfig"
)

// unlimited is a rate that is never reached: the limits protect shared
// clusters, and only slow down a server of one's own.
const unlimited = 1_000_000

// dynamicConfig tunes a server that is alone on its machine: low latency, and
// next to no work while nothing is to be done.
func dynamicConfig() dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// One partition: with four, most tasks and polls miss one another and
		// are forwarded over the network.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,

		// A timer shorter than this fires late, by up to this.
		dynamicconfig.TimerProcessorMaxTimeShift.Key(): 10 * time.Millisecond,

		// Search attributes can be used as soon as they are added.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,

		dynamicconfig.FrontendRPS.Key():                                  unlimited,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():           unlimited,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): unlimited,
		dynamicconfig.FrontendPersistenceMaxQPS.Key():                    unlimited,
		dynamicconfig.HistoryRPS.Key():                                   unlimited,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():                     unlimited,
		dynamicconfig.MatchingRPS.Key():                                  unlimited,
		dynamicconfig.MatchingPersistenceMaxQPS.Key():                    unlimited,

		// Nothing leaves the machine, and nothing scans in the background.
		dynamicconfig.EnableServerVersionCheck.Key():                  false,
		dynamicconfig.TaskQueueScannerEnabled.Key():                   false,
		dynamicconfig.HistoryScannerEnabled.Key():                     false,
		dynamicconfig.EnableBatcherNamespace.Key():                    true, // the Web UI's bulk actions
		dynamicconfig.PersistenceHealthSignalMetricsEnabled.Key():     false,
		dynamicconfig.PersistenceHealthSignalAggregationEnabled.Key(): false,
		dynamicconfig.HistoryHealthSignalMetricsEnabled.Key():         false,
		dynamicconfig.MatchingBacklogMetricsEmitInterval.Key():        time.Duration(0),
	}
}
