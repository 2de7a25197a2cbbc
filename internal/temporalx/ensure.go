package temporalx

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

// pollEvery is how often something that was just made is looked for.
const pollEvery = 100 * time.Millisecond

// EnsureNamespace makes the namespace where it is missing and where we may, and
// waits until it answers. One that exists keeps its settings.
func EnsureNamespace(ctx context.Context, c client.Client, namespace string, retention time.Duration) error {
	_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	var missing *serviceerror.NamespaceNotFound
	if !errors.As(err, &missing) {
		return wrap(err, "look at namespace "+namespace)
	}
	_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return wrap(err, "make namespace "+namespace)
	}
	return wrap(poll(ctx, pollEvery, func() error {
		// A description comes from the database. What workflows meet is the
		// server's cache of namespaces, which a count goes through.
		_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace})
		return err
	}), "wait for namespace "+namespace)
}

// EnsureSearchAttributes adds the Keyword attributes that the namespace lacks
// and waits until workflows can use them, which takes about a second. An
// attribute of the name but another type is an error.
func EnsureSearchAttributes(ctx context.Context, c client.Client, namespace string, names []string) error {
	missing, err := missingAttributes(ctx, c, namespace, names)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		add := make(map[string]enumspb.IndexedValueType, len(missing))
		for _, n := range missing {
			add[n] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}
		_, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: namespace, SearchAttributes: add,
		})
		var exists *serviceerror.AlreadyExists // another process was quicker
		if err != nil && !errors.As(err, &exists) {
			return wrap(err, "add search attributes")
		}
	}
	return poll(ctx, pollEvery, func() error { return attributesUsable(ctx, c, namespace, names) })
}

func missingAttributes(ctx context.Context, c client.Client, namespace string, names []string) ([]string, error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, wrap(err, "list search attributes")
	}
	var missing []string
	for _, n := range names {
		switch typ, ok := have.GetCustomAttributes()[n]; {
		case !ok:
			missing = append(missing, n)
		case typ != enumspb.INDEXED_VALUE_TYPE_KEYWORD:
			return nil, fmt.Errorf("search attribute %s is a %s, and must be a Keyword", n, typ)
		}
	}
	return missing, nil
}

// attributesUsable asks the frontend, which starts workflows, rather than the
// operator service, which added them: it is the one that lags. A query that
// names an attribute that it does not know is refused.
func attributesUsable(ctx context.Context, c client.Client, namespace string, names []string) error {
	for _, n := range names {
		_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: namespace, Query: n + ` = "none"`,
		})
		if err != nil {
			return wrap(err, "use search attribute "+n)
		}
	}
	return nil
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
