package main

// Step 2 of the lesson, the functions that hidden_act of config.json may name. BERT's is the
// GELU (layers.go); published models also have others. Another one is a line of the table and,
// if it is none of these in other numbers, two kernels.

// An ActivationFunction is a function of one number, and what its derivative makes of a
// gradient: Forward is y = f(x), Backward dx = dy·f'(x), where dx may be dy.
type ActivationFunction struct {
	Forward  func(y, x []float32)
	Backward func(dx, dy, x []float32)
}

// ActivationFunctions are those that are known, by Hugging Face's names. gelu has erf; the
// others that are called gelu have what is close to it and was once faster,
// x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2, which is x·σ of twice what tanh is taken of.
var ActivationFunctions = map[string]ActivationFunction{
	"gelu": gelu, "gelu_python": gelu,
	"gelu_new": tanhGELU, "gelu_pytorch_tanh": tanhGELU, "gelu_fast": tanhGELU,
	"silu": silu, "swish": silu,
	"relu": {reluForward, reluBackward},
}

var (
	gelu = ActivationFunction{
		func(y, x []float32) { kernels.gelu(y, x) },
		func(dx, dy, x []float32) { kernels.geluBackward(dx, dy, x) },
	}
	tanhGELU = gated(2*0.7978845608028654, 2*0.7978845608028654*0.044715) // √(2/π) = 0.798
	silu     = gated(1, 0)
)

// gated is x·σ(linear·x + cubic·x³), where σ(u) = 1/(1 + e^(−u)).
func gated(linear, cubic float32) ActivationFunction {
	return ActivationFunction{
		func(y, x []float32) { kernels.gated(y, x, linear, cubic) },
		func(dx, dy, x []float32) { kernels.gatedBackward(dx, dy, x, linear, cubic, 3*cubic) },
	}
}

// reluForward: y = max(x, 0).
func reluForward(y, x []float32) {
	for i, v := range x {
		if v < 0 {
			v = 0
		}
		y[i] = v
	}
}

// reluBackward: dx = dy where x > 0, otherwise 0.
func reluBackward(dx, dy, x []float32) {
	for i, v := range x {
		dx[i] = dy[i]
		if v <= 0 {
			dx[i] = 0
		}
	}
}
