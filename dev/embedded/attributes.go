package embedded

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
)

// ensureSearchAttributes adds what the namespace lacks. A namespace that was
// just made has them all; one of an older data directory may not.
func ensureSearchAttributes(ctx context.Context, c client.Client, namespace string, want map[string]enumspb.IndexedValueType) error {
	if len(want) == 0 {
		return nil
	}
	have, err := listSearchAttributes(ctx, c, namespace)
	if err != nil {
		return err
	}
	missing := make(map[string]enumspb.IndexedValueType)
	for name, typ := range want {
		if _, ok := have[name]; !ok {
			missing[name] = typ
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	if err != nil {
		return fmt.Errorf("add search attributes: %w", err)
	}
	return poll(ctx, func() error {
		have, err := listSearchAttributes(ctx, c, namespace)
		if err != nil {
			return err
		}
		for name := range missing {
			if _, ok := have[name]; !ok {
				return fmt.Errorf("search attribute %s is not there yet", name)
			}
		}
		return nil
	})
}

func listSearchAttributes(ctx context.Context, c client.Client, namespace string) (map[string]enumspb.IndexedValueType, error) {
	resp, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list search attributes: %w", err)
	}
	return resp.GetCustomAttributes(), nil
}

// Keywords is the search attributes of these names, all of type Keyword.
func Keywords(names ...string) map[string]enumspb.IndexedValueType {
	out := make(map[string]enumspb.IndexedValueType, len(names))
	for _, name := range names {
		out[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	return out
}
