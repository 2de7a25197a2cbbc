package vspheresim

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vapi/library"
	vapi "github.com/vmware/govmomi/vapi/simulator"
	"github.com/vmware/govmomi/vapi/vcenter"
	"github.com/vmware/govmomi/vim25/types"
)

// The paths of the REST API that an operator uses here.
const (
	sessionPath  = restPath + "/com/vmware/cis/session"
	libraryPath  = restPath + "/com/vmware/content/library"
	itemPath     = libraryPath + "/item"
	updatePath   = itemPath + "/update-session"
	updateFiles  = itemPath + "/updatesession/file"
	templatePath = restPath + "/vcenter/vm-template/library-items"
)

// operate makes a call of the REST API as an operator does, past what is logged, held,
// lost or refused.
func (s *Server) operate(ctx context.Context, method, path string, query url.Values, body, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.operateRaw(ctx, method, path, query, raw, out)
}

func (s *Server) operateRaw(ctx context.Context, method, path string, query url.Values, raw []byte, out any) error {
	at := url.URL{Scheme: "https", Host: s.server.URL.Host, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.RequestURI = at.RequestURI()
	if path == sessionPath {
		req.SetBasicAuth(Username, Password)
	}
	s.mu.Lock()
	req.Header.Set(tokenHeader, s.operator)
	s.mu.Unlock()
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	s.inner.ServeHTTP(answer, req)
	if answer.status != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s", method, path, answer.status, answer.body.String())
	}
	if out == nil {
		return nil
	}
	value := struct {
		Value any `json:"value"`
	}{out}
	return json.Unmarshal(answer.body.Bytes(), &value)
}

// logInOperator gives the operator a session.
func (s *Server) logInOperator(ctx context.Context) error {
	var token string
	err := s.operate(ctx, http.MethodPost, sessionPath, nil, nil, &token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operator = token
	return err
}

// AddLibrary makes a local content library that is published, and returns its ID.
func (s *Server) AddLibrary(ctx context.Context, name string) (string, error) {
	published := true
	return s.addLibrary(ctx, library.Library{
		Name: name, Type: "LOCAL", Publication: &library.Publication{AuthenticationMethod: "NONE", Published: &published},
	})
}

// Subscribe makes a library that is subscribed to another one, with its items. onDemand
// says that the files are fetched when they are used.
func (s *Server) Subscribe(ctx context.Context, name, to string, onDemand bool) (string, error) {
	var from library.Library
	if err := s.operate(ctx, http.MethodGet, libraryPath+"/id:"+to, nil, nil, &from); err != nil {
		return "", err
	}
	return s.addLibrary(ctx, library.Library{
		Name: name, Type: "SUBSCRIBED",
		Subscription: &library.Subscription{SubscriptionURL: from.Publication.PublishURL, AuthenticationMethod: "NONE", OnDemand: &onDemand},
	})
}

func (s *Server) addLibrary(ctx context.Context, l library.Library) (id string, err error) {
	if err := s.logInOperator(ctx); err != nil {
		return "", err
	}
	l.Storage = []library.StorageBacking{{DatastoreID: s.Model.Map().Any("Datastore").Reference().Value, Type: "DATASTORE"}}
	at := strings.Replace(libraryPath, "library", strings.ToLower(l.Type)+"-library", 1)
	err = s.operate(ctx, http.MethodPost, at, nil, map[string]any{"create_spec": l}, &id)
	return id, err
}

// AddOVF adds an item with a VM that has one disk and one interface, and returns its ID.
func (s *Server) AddOVF(ctx context.Context, in, name string, diskGiB int) (string, error) {
	text := strings.NewReplacer("$GIB", fmt.Sprint(diskGiB)).Replace(ovf)
	if err := xml.Unmarshal([]byte(text), &struct{}{}); err != nil {
		return "", err
	}
	return s.addItem(ctx, in, name, library.ItemTypeOVF, name+".ovf", []byte(text))
}

// AddISO adds an item that is a medium, and returns its ID.
func (s *Server) AddISO(ctx context.Context, in, name string) (string, error) {
	return s.addItem(ctx, in, name, library.ItemTypeISO, name+".iso", []byte("a medium"))
}

func (s *Server) addItem(ctx context.Context, in, name, kind, file string, content []byte) (string, error) {
	var id, session string
	err := s.operate(ctx, http.MethodPost, itemPath, nil, map[string]any{
		"create_spec": map[string]string{"name": name, "library_id": in, "type": kind},
	}, &id)
	if err != nil || file == "" {
		return id, err
	}
	err = s.operate(ctx, http.MethodPost, updatePath, nil, map[string]any{"create_spec": map[string]string{"library_item_id": id}}, &session)
	if err != nil {
		return "", err
	}
	var added library.UpdateFile
	err = s.operate(ctx, http.MethodPost, updateFiles+"/id:"+session, url.Values{"~action": {"add"}}, map[string]any{
		"file_spec": map[string]string{"name": file, "source_type": "PUSH"},
	}, &added)
	if err != nil {
		return "", err
	}
	to, err := url.Parse(added.UploadEndpoint.URI)
	if err != nil {
		return "", err
	}
	if err := s.operateRaw(ctx, http.MethodPut, to.Path, nil, content, nil); err != nil {
		return "", err
	}
	return id, s.operate(ctx, http.MethodPost, updatePath+"/id:"+session, url.Values{"~action": {"complete"}}, nil, nil)
}

// AddTemplate adds a VM template as an item, which the simulator clones from a VM, and
// returns its ID.
func (s *Server) AddTemplate(ctx context.Context, in, name, source string) (id string, err error) {
	var from *simulator.VirtualMachine
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && vm.Name == source {
			from = vm
		}
	}
	dc, ok := s.Model.Map().Any("Datacenter").(*simulator.Datacenter)
	if from == nil || !ok {
		return "", errors.New("there is no such VM")
	}
	placement := &library.Placement{Folder: dc.VmFolder.Value, ResourcePool: s.Model.Map().Any("ResourcePool").Reference().Value}
	err = s.operate(ctx, http.MethodPost, templatePath, nil, map[string]any{
		"spec": vcenter.Template{Name: name, Library: in, SourceVM: from.Self.Value, Placement: placement},
	}, &id)
	return id, err
}

// Touch gives an item another content.
func (s *Server) Touch(item, contentVersion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions[item] = contentVersion
}

// Rename gives an item another name.
func (s *Server) Rename(ctx context.Context, item, name string) error {
	return s.operate(ctx, http.MethodPatch, itemPath+"/id:"+item, nil, map[string]any{"update_spec": map[string]string{"name": name}}, nil)
}

// RemoveItem removes an item.
func (s *Server) RemoveItem(ctx context.Context, item string) error {
	return s.operate(ctx, http.MethodDelete, itemPath+"/id:"+item, nil, nil, nil)
}

// templateItem answers what an item that is a VM template has: the library's simulator
// tells nothing of it. The template is found by the item's name.
func (s *Server) templateItem(w http.ResponseWriter, r *http.Request, id string) {
	var item library.Item
	if err := s.operate(r.Context(), http.MethodGet, itemPath+"/id:"+id, nil, nil, &item); err != nil {
		APIError{http.StatusNotFound, "not_found"}.write(w)
		return
	}
	for _, e := range s.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok || !vm.Config.Template || vm.Name != item.Name || item.Type != library.ItemTypeVMTX {
			continue
		}
		info := vcenter.TemplateInfo{VmTemplate: vm.Self.Value}
		for _, d := range vm.Config.Hardware.Device {
			if disk, ok := d.(*types.VirtualDisk); ok {
				info.Disks = append(info.Disks, vcenter.Disks{Key: fmt.Sprint(disk.Key), Value: &vcenter.DiskInfo{Capacity: int(disk.CapacityInBytes)}})
			}
		}
		vapi.OK(w, info)
		return
	}
	APIError{http.StatusBadRequest, "invalid_argument"}.write(w)
}

// versioned puts the content versions that Touch gave into an answer about an item.
func (s *Server) versioned(answer *recorder, id string) {
	s.mu.Lock()
	version, ok := s.versions[id]
	s.mu.Unlock()
	if !ok || answer.status != http.StatusOK {
		return
	}
	var body map[string]map[string]any
	if json.Unmarshal(answer.body.Bytes(), &body) != nil {
		return
	}
	body["value"]["content_version"] = version
	answer.body.Reset()
	_ = json.NewEncoder(&answer.body).Encode(body)
}

// fileURIs gives the places of files as a vCenter does, as URIs.
func fileURIs(answer *recorder) {
	var body struct {
		Value []library.Storage `json:"value"`
	}
	if answer.status != http.StatusOK || json.Unmarshal(answer.body.Bytes(), &body) != nil {
		return
	}
	for i, file := range body.Value {
		for j, uri := range file.StorageURIs {
			body.Value[i].StorageURIs[j] = "ds://" + path.Clean(uri) + "?serverId=simulated"
		}
	}
	answer.body.Reset()
	_ = json.NewEncoder(&answer.body).Encode(body)
}

// ovf describes a VM with one disk and one interface.
const ovf = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vmw="http://www.vmware.com/schema/ovf"
  xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References><File ovf:href="disk1.vmdk" ovf:id="file1" ovf:size="1024"/></References>
  <DiskSection><Info>Disks</Info>
    <Disk ovf:capacity="$GIB" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="disk1" ovf:fileRef="file1"
      ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection><Info>Networks</Info><Network ovf:name="lan"><Description>A network</Description></Network></NetworkSection>
  <VirtualSystem ovf:id="vm"><Info>A VM</Info><Name>vm</Name>
    <OperatingSystemSection ovf:id="36" vmw:osType="otherLinux64Guest"><Info>The guest</Info></OperatingSystemSection>
    <VirtualHardwareSection><Info>Hardware</Info>
      <System><vssd:ElementName>Hardware</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>vm</vssd:VirtualSystemIdentifier><vssd:VirtualSystemType>vmx-15</vssd:VirtualSystemType></System>
      <Item><rasd:ElementName>CPUs</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>Memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>256</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:ElementName>SCSI</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
      <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>disk0</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/disk1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:AddressOnParent>7</rasd:AddressOnParent><rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>lan</rasd:Connection><rasd:ElementName>ethernet0</rasd:ElementName><rasd:InstanceID>5</rasd:InstanceID>
        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`
