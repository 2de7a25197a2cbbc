// Package vspheresim is a simulated vCenter, or ESXi host: govmomi's simulator behind
// TLS, with what that lacks, a log of the calls, hooks, and answers that get lost. The
// admin side is simadmin's.
package vspheresim

import (
	"cmp"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/units"
	_ "github.com/vmware/govmomi/vapi/simulator" // the REST API, with the content library
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// The account that a simulated server knows.
const (
	Username = "administrator@vsphere.local"
	Password = "simulated"
)

// Template is the name of the VM template that a simulated server has. Its disk
// has TemplateGiB.
const (
	Template    = "debian-12"
	TemplateGiB = 2
)

// Network is the name of a standard network, and Portgroup of a distributed one. An
// ESXi host has the first alone.
const (
	Network   = "VM Network"
	Portgroup = "DC0_DVPG0"
)

// DefaultHosts is how many hosts a cluster has.
const DefaultHosts = 2

// Options are what is simulated. The zero value is a vCenter with one cluster of
// two hosts.
type Options struct {
	ESXi     bool // one host that stands alone, without a vCenter
	Hosts    int  // of the cluster; 0 means DefaultHosts
	Machines int  // foreign VMs beside the templates
	Listen   string
	// Certificate is the server's; nil means one that is the same for all.
	Certificate *tls.Certificate
	// NodeVCPUs and NodeMemoryMiB are the size of each host; 0 means the library's.
	NodeVCPUs, NodeMemoryMiB int
	// Templates are what VMs are made from; without any there is Template alone.
	Templates []Image
	// TaskDelay is how long a task takes that was asked for over the API, where
	// PUT /_admin/latency says nothing.
	TaskDelay time.Duration
	// CallLog is how many calls the admin side remembers; 0 means simadmin.DefaultCallLog.
	CallLog int
	// Clusters and Datastores are how many there are; 0 means 1. Each cluster has Hosts.
	Clusters   int
	Datastores int
	// Delay is how long the server takes to answer.
	Delay simulator.DelayConfig
	// APIVersion is that of the server; "" means 8.0.2.0.
	APIVersion string
}

// Image is a template. On an ESXi host it is a VM that is off.
type Image struct {
	Name    string
	DiskGiB int
}

// Server is a simulated vCenter, or ESXi host. It is an http.Handler as well: the API
// under /sdk, the admin side under /_admin.
type Server struct {
	// Service is the simulator: its registry, and its fault rules.
	Service *simulator.Service
	Model   *simulator.Model
	server  *simulator.Server
	api     http.Handler
	side    *simadmin.Side
	opts    Options
	plans   plans
	guests  guests
	home    *os.File      // the mark of its directory
	done    chan struct{} // closed by Close
	once    sync.Once

	mu     sync.Mutex
	calls  []Call
	before []func(Call)
	lost   map[string]int
	held   map[string]*hold
	// removals are the last tasks that were to remove a snapshot.
	removals map[types.ManagedObjectReference]types.ManagedObjectReference
	// tickets are those for consoles that were not used yet.
	tickets       map[string]*simulator.VirtualMachine
	refuseScreens bool
	refusing      bool // all credentials
	// accounts are those with only some privileges, and taskFaults what tasks fail with.
	accounts   map[string]account
	taskFaults map[string]types.BaseMethodFault

	// Of the REST API:
	inner       http.Handler      // the library's simulator
	operator    string            // the session of the operator
	tokens      map[string]string // of the REST API: whose each is
	refused     map[string]refusedCalls
	deployments deployments
	own         atomic.Int32      // deployments at work, for which the simulator calls itself
	notes       map[string]string // of VMs that are deployed, by name
	versions    map[string]string // of the content of items

	customized map[string]types.CustomizationSpec // of VMs that are cloned, by name
}

var _ http.Handler = (*Server)(nil)

// Start starts a server that listens on 127.0.0.1, or on Options.Listen.
func Start(o Options) (*Server, error) {
	m := simulator.VPX()
	m.Host, m.ClusterHost = 0, DefaultHosts
	if o.Hosts > 0 {
		m.ClusterHost = o.Hosts
	}
	if o.ESXi {
		m = simulator.ESX()
	}
	if len(o.Templates) == 0 {
		o.Templates = []Image{{Name: Template, DiskGiB: TemplateGiB}}
	}
	m.Machine, m.Autostart = len(o.Templates)+o.Machines, false
	m.DelayConfig = o.Delay
	m.Cluster, m.Datastore = max(o.Clusters, m.Cluster), max(o.Datastores, m.Datastore)
	m.ServiceContent.About.ApiVersion = cmp.Or(o.APIVersion, "8.0.2.0")
	sweepHomes()
	if err := create(m); err != nil {
		m.Remove()
		return nil, err
	}
	home, err := markHome(m)
	if err != nil {
		m.Remove()
		return nil, err
	}
	s := &Server{
		Model: m, Service: m.Service, opts: o, home: home, lost: map[string]int{}, held: map[string]*hold{}, removals: map[types.ManagedObjectReference]types.ManagedObjectReference{},
		tickets: map[string]*simulator.VirtualMachine{},
		guests:  newGuests(), done: make(chan struct{}),
		tokens: map[string]string{}, refused: map[string]refusedCalls{}, notes: map[string]string{}, versions: map[string]string{},
		customized: map[string]types.CustomizationSpec{},
	}
	s.side = s.adminSide()
	s.sizeHosts()
	s.enableVMotion()
	if err := s.makeTemplates(); err != nil {
		s.leave()
		return nil, err
	}
	listen := o.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	m.Map().Handler = s.intercept
	m.Map().SessionManager().ValidLogin = s.knows
	m.Map().AddHandler(hotAdd{})
	m.Map().AddHandler(&watcher{s})
	m.Map().AddHandler(pending{s})
	m.Service.HandleFunc(ticketPath, s.serveScreen)
	m.Service.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.Certificate != nil {
		m.Service.TLS.Certificates = []tls.Certificate{*o.Certificate}
	}
	m.Service.RegisterEndpoints = true
	m.Service.Listen = &url.URL{Host: listen, User: url.UserPassword(Username, Password)}
	if s.server, err = serve(m.Service); err != nil {
		s.leave()
		return nil, err
	}
	s.inner = s.server.Config.Handler
	s.api = s.observed(s.serveREST(s.inner))
	s.server.Config.Handler = s
	return s, nil
}

// creating has the library's simulators be made one after the other: it keeps what a
// licence has in a variable that they share, and adds to it.
var creating sync.Mutex //nolint:gochecknoglobals // it guards a global of the library

func create(m *simulator.Model) error {
	creating.Lock()
	defer creating.Unlock()
	return m.Create()
}

// serve listens. The library panics where it cannot.
func serve(service *simulator.Service) (server *simulator.Server, err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("%v", why)
		}
	}()
	return service.NewServer(), nil
}

// URL is where the API is.
func (s *Server) URL() string { return "https://" + s.server.URL.Host }

// CertificatePEM is the server's certificate, which is its own CA.
func (s *Server) CertificatePEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}))
}

// Thumbprint is the SHA-256 thumbprint of the server's certificate.
func (s *Server) Thumbprint() string { return soap.ThumbprintSHA256(s.server.Certificate()) }

// Close stops the server and removes its files. Once more does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.done)
		s.side.Close()
		s.server.CloseClientConnections()
		s.server.Close()
		s.leave()
	})
}

// leave removes the server's files.
func (s *Server) leave() {
	s.Model.Remove()
	_ = s.home.Close() // it is gone with the others
}

// makeTemplates turns the first VMs that the model has into templates.
func (s *Server) makeTemplates() error {
	var all []*simulator.VirtualMachine
	for _, entity := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok {
			all = append(all, vm)
		}
	}
	slices.SortFunc(all, func(a, b *simulator.VirtualMachine) int { return cmp.Compare(a.Name, b.Name) })
	if len(all) < len(s.opts.Templates) {
		return errors.New("the model has too few VMs")
	}
	for i, image := range s.opts.Templates {
		vm := all[i]
		s.guests.images[vm.Self] = true
		vm.Name, vm.Config.Name, vm.Summary.Config.Name = image.Name, image.Name, image.Name
		vm.Config.Template, vm.Summary.Config.Template = true, true
		for _, d := range vm.Config.Hardware.Device {
			if disk, ok := d.(*types.VirtualDisk); ok {
				disk.CapacityInKB = int64(image.DiskGiB) * units.GB / units.KB
				disk.CapacityInBytes = int64(image.DiskGiB) * units.GB
			}
		}
	}
	return nil
}
