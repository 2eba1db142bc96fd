package main

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// Each activation function and its derivative have PyTorch's numbers, and so has a model
// with it, by each of its names.
func TestActivations(t *testing.T) {
	data, err := os.ReadFile("testdata/activations.json")
	check(t, err)
	var x struct {
		X []float32 `json:"x"`
	}
	check(t, json.Unmarshal(data, &x))
	type numbers struct {
		Y, Dx  []float32
		Losses [2]float64
	}
	byName := map[string]json.RawMessage{}
	check(t, json.Unmarshal(data, &byName))
	g, m, b := loadGolden(t)
	for alias, name := range map[string]string{
		"gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_new", "gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new",
		"relu": "relu", "silu": "silu", "swish": "silu",
	} {
		var want numbers
		check(t, json.Unmarshal(byName[name], &want))
		f, got, ones := ActivationFunctions[alias], make([]float32, len(x.X)), make([]float32, len(x.X))
		f.Forward(got, x.X)
		compare(t, alias, got, want.Y, 1, 1e-6, "PyTorch's")
		for i := range ones {
			ones[i] = 1
		}
		f.Backward(ones, ones, x.X)
		compare(t, alias+"'s derivative", ones, want.Dx, 1, 3e-6, "PyTorch's")

		config := g.Config
		config.HiddenAct = alias
		with, err := NewModel(config, 1)
		check(t, err)
		copy(with.Value, m.Value)
		with.Forward(b)
		s := with.Loss(b)
		mlm, nsp := s.MLMLoss/float64(s.MLMCount), s.NSPLoss/float64(s.NSPCount)
		if math.Abs(mlm-want.Losses[0]) > 1e-5 || math.Abs(nsp-want.Losses[1]) > 1e-5 {
			t.Errorf("%s: losses are %.6f and %.6f, PyTorch's are %.6f", alias, mlm, nsp, want.Losses)
		}
		huge := []float32{float32(math.NaN()), 1e4, -1e4}
		f.Forward(huge, huge)
		if huge[0] == huge[0] || huge[1] != 1e4 || huge[2] != 0 {
			t.Errorf("%s of NaN, 1e4 and -1e4 is %v", alias, huge)
		}
	}
}
