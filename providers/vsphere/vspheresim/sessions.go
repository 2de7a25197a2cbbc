package vspheresim

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Client is a client past the API's transport and its sessions, for what an
// operator does.
func (s *Server) Client(ctx context.Context) (*vim25.Client, error) {
	return vim25.NewClient(ctx, s.Service)
}

// EndSessions ends every session, as an administrator does.
func (s *Server) EndSessions(ctx context.Context) error {
	c, err := s.Client(ctx)
	if err != nil {
		return err
	}
	var sessions mo.SessionManager
	manager := *c.ServiceContent.SessionManager
	res, err := methods.RetrievePropertiesEx(ctx, c, &types.RetrievePropertiesEx{
		This: c.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			ObjectSet: []types.ObjectSpec{{Obj: manager}},
			PropSet:   []types.PropertySpec{{Type: manager.Type, PathSet: []string{"sessionList"}}},
		}},
	})
	if err != nil || res.Returnval == nil {
		return err
	}
	if err := mo.LoadObjectContent(res.Returnval.Objects, &sessions); err != nil {
		return err
	}
	var ids []string
	for _, one := range sessions.SessionList {
		ids = append(ids, one.Key)
	}
	if len(ids) == 0 {
		return nil
	}
	_, err = methods.TerminateSession(ctx, c, &types.TerminateSession{This: manager, SessionId: ids})
	return err
}
