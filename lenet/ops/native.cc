// Convolution at stride 1 without a patch matrix and without zeros: docs/en/speed.md explains it.
//
// Images are blocks, as lenet/ops/blocks.py has them: [t, t, C, n, m, B], where pixel (i·t + a,
// j·t + b) of channel c of example e is at [a, b, c, i, j, e]. Examples are last, so a vector of the
// processor holds the same pixel of several examples, and no vector ever has to be rearranged.
// A handler gets the last three axes as one, and `grid` = (n, m): XLA fuses what is before a handler
// into one loop, which then works out no row and column for each number.
//
// Every sum has a fixed order, so the result depends on the inputs and on the width of a vector
// alone. A handler keeps nothing between calls and starts no thread.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

// Vectors are the compiler's (GCC and Clang): + and * work lane by lane, on any processor.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kSums = 24;  // numbers in a register; registers that hold sums
#elif defined(__AVX__)
constexpr int kLanes = 8, kSums = 12;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kSums = 24;
#else
constexpr int kLanes = 4, kSums = 12;
#endif
typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef float Unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

// The first `count` numbers at p, then zeros; `count` is kLanes except in the last vector of a batch.
template <bool whole>
inline Vector Load(const float* p, int64_t count) {
  if (whole) return *reinterpret_cast<const Unaligned*>(p);
  Vector found = {};
  std::memcpy(&found, p, 4 * count);
  return found;
}

template <bool whole>
inline void Store(float* p, Vector value, int64_t count) {
  if (whole) {
    *reinterpret_cast<Unaligned*>(p) = value;
  } else {
    std::memcpy(p, &value, 4 * count);
  }
}

using Grid = ffi::Span<const int64_t>;

// Where the pixels of images in blocks are: channel c of pixel (y, x) at c·plane + row[y] + column[x].
struct Layout {
  int64_t channels, height, width, batch, plane;
  std::vector<int64_t> row, column;

  Layout(ffi::AnyBuffer::Dimensions d, Grid grid)  // [t, t, C, n·m·B]
      : channels(d[2]), height(d[0] * grid[0]), width(d[1] * grid[1]),
        batch(d[3] / (grid[0] * grid[1])), plane(d[3]), row(height), column(width) {
    for (int64_t y = 0; y < height; ++y) {
      row[y] = y % d[0] * d[1] * channels * plane + y / d[0] * grid[1] * batch;
    }
    for (int64_t x = 0; x < width; ++x) {
      column[x] = x % d[1] * channels * plane + x / d[1] * batch;
    }
  }
};

// ---- y[d, i, j] = bias[d] + Σ_c Σ_u Σ_v kernel[u, v, c, d] · x[c, i + u − top, j + v − left] ----

// The part of a window that lies within the images: rows and columns of the kernel.
struct Window {
  int64_t y, x;                                   // of its corner, which may lie outside
  int64_t first_row, end_row, first_column, end_column;
};

struct Correlation {
  const float *x, *kernel, *bias;
  float* y;
  Layout from, to;
  int64_t kernel_width;
};

// One pixel of `outputs` channels from d on, for `vectors` vectors of examples from e on. All sums
// stay in registers: each vector that is read meets `outputs` weights, each weight `vectors` vectors.
template <int outputs, int vectors, bool whole>
void Pixel(const Correlation& all, const Window& window, float* y, int64_t d, int64_t e) {
  const int64_t ci = all.from.channels, co = all.to.channels, count = all.from.batch - e;
  Vector sum[outputs][vectors];
  for (int r = 0; r < outputs; ++r) {
    for (int k = 0; k < vectors; ++k) sum[r][k] = Vector{} + all.bias[d + r];
  }
  for (int64_t c = 0; c < ci; ++c) {
    for (int64_t u = window.first_row; u < window.end_row; ++u) {
      const float* line = all.x + c * all.from.plane + all.from.row[window.y + u] + e;
      const float* weights = all.kernel + (u * all.kernel_width * ci + c) * co + d;
      for (int64_t v = window.first_column; v < window.end_column; ++v) {
        const float* pixel = line + all.from.column[window.x + v];
        const float* weight = weights + v * ci * co;
        Vector in[vectors];
        for (int k = 0; k < vectors; ++k) in[k] = Load<whole>(pixel + k * kLanes, count);
        for (int r = 0; r < outputs; ++r) {
          for (int k = 0; k < vectors; ++k) sum[r][k] += in[k] * weight[r];
        }
      }
    }
  }
  for (int r = 0; r < outputs; ++r) {
    for (int k = 0; k < vectors; ++k) {
      Store<whole>(y + r * all.to.plane + k * kLanes, sum[r][k], count);
    }
  }
}

// `outputs` channels from d on of one pixel, for all examples.
template <int outputs>
void Pixels(const Correlation& all, const Window& window, float* y, int64_t d) {
  constexpr int vectors = std::max(1, std::min(4, kSums / outputs));
  int64_t e = 0;
  for (; e + vectors * kLanes <= all.to.batch; e += vectors * kLanes) {
    Pixel<outputs, vectors, true>(all, window, y + e, d, e);
  }
  for (; e + kLanes <= all.to.batch; e += kLanes) {
    Pixel<outputs, 1, true>(all, window, y + e, d, e);
  }
  if (e < all.to.batch) Pixel<outputs, 1, false>(all, window, y + e, d, e);
}

constexpr int kOutputs = 8;  // channels of a tile, at most

void Channels(const Correlation& all, const Window& window, float* y, int64_t d, int64_t count) {
  switch (count) {
    case 1: return Pixels<1>(all, window, y, d);
    case 2: return Pixels<2>(all, window, y, d);
    case 3: return Pixels<3>(all, window, y, d);
    case 4: return Pixels<4>(all, window, y, d);
    case 5: return Pixels<5>(all, window, y, d);
    case 6: return Pixels<6>(all, window, y, d);
    case 7: return Pixels<7>(all, window, y, d);
    default: return Pixels<8>(all, window, y, d);
  }
}

// The largest tile: channels are divided evenly, 16 as 6 + 5 + 5 where registers hold 6 × 2 sums.
int64_t Tile(int64_t channels, int64_t most) {
  const int64_t tiles = (channels + most - 1) / most;
  return (channels + tiles - 1) / tiles;
}

ffi::Error Correlate(ffi::Buffer<ffi::F32> x, ffi::Buffer<ffi::F32> kernel,
                     ffi::Buffer<ffi::F32> bias, ffi::ResultBuffer<ffi::F32> y, Grid from, Grid to,
                     int64_t top, int64_t left) {
  const auto sides = kernel.dimensions();
  const Correlation all{x.typed_data(), kernel.typed_data(), bias.typed_data(), y->typed_data(),
                        Layout(x.dimensions(), from), Layout(y->dimensions(), to), sides[1]};
  const int64_t tile = Tile(all.to.channels, kSums > 12 ? kOutputs : 6);
  for (int64_t i = 0; i < all.to.height; ++i) {
    for (int64_t j = 0; j < all.to.width; ++j) {
      const int64_t row = i - top, column = j - left;
      const Window window{row, column,
                          std::max<int64_t>(0, -row), std::min(sides[0], all.from.height - row),
                          std::max<int64_t>(0, -column), std::min(sides[1], all.from.width - column)};
      float* pixel = all.y + all.to.row[i] + all.to.column[j];
      for (int64_t d = 0; d < all.to.channels; d += tile) {
        Channels(all, window, pixel + d * all.to.plane, d, std::min(tile, all.to.channels - d));
      }
    }
  }
  return ffi::Error::Success();
}

// ---- dk[u, v, c, d] = Σ_i Σ_j Σ_e x[c, i + u, j + v, e] · dy[d, i, j, e];  db[d] = Σ dy[d] ----

struct Gradient {
  const float *x, *dy;
  Layout from, to;
};

// What row i of the outputs adds to a tile of the kernel's gradient, row u and channel c: `columns`
// columns from v on and `outputs` channels from d on. Each lane of a vector has a sum of its own.
template <int columns, int outputs, bool whole>
inline void Add(const float* const* x, const float* dy, int64_t plane, int64_t e, int64_t count,
                Vector (&sum)[columns][outputs]) {
  Vector out[outputs];
  for (int r = 0; r < outputs; ++r) out[r] = Load<whole>(dy + r * plane + e, count);
  for (int k = 0; k < columns; ++k) {
    const Vector in = Load<whole>(x[k] + e, count);
    for (int r = 0; r < outputs; ++r) sum[k][r] += in * out[r];
  }
}

template <int columns, int outputs>
void Row(const Gradient& all, int64_t i, int64_t u, int64_t v, int64_t c, int64_t d, Vector* total) {
  const float* line = all.x + c * all.from.plane + all.from.row[i + u];
  const float* above = all.dy + d * all.to.plane + all.to.row[i];
  const int64_t batch = all.to.batch, rest = batch % kLanes;
  Vector sum[columns][outputs] = {};
  const auto along = [&](int64_t j, int64_t e, int64_t count, auto whole) {
    const float* x[columns];
    for (int k = 0; k < columns; ++k) x[k] = line + all.from.column[j + v + k];
    const float* dy = above + all.to.column[j];
    for (; e + count <= batch; e += count) {
      Add<columns, outputs, whole.value>(x, dy, all.to.plane, e, count, sum);
    }
  };
  for (int64_t j = 0; j < all.to.width; ++j) along(j, 0, kLanes, std::true_type());
  for (int64_t j = 0; rest && j < all.to.width; ++j) along(j, batch - rest, rest, std::false_type());
  for (int k = 0; k < columns; ++k) {  // by row first: fewer numbers in each sum, less rounding
    for (int r = 0; r < outputs; ++r) total[k * all.from.channels * all.to.channels + r] += sum[k][r];
  }
}

constexpr int kColumns = 5, kDeep = kSums > 12 ? 4 : 2;  // sizes of a tile, at most

template <int columns>
void Outputs(const Gradient& all, int64_t i, int64_t u, int64_t v, int64_t c, int64_t d,
             int64_t count, Vector* total) {
  switch (count) {
    case 1: return Row<columns, 1>(all, i, u, v, c, d, total);
    case 2: return Row<columns, 2>(all, i, u, v, c, d, total);
    case 3: return Row<columns, std::min(3, kDeep)>(all, i, u, v, c, d, total);
    default: return Row<columns, kDeep>(all, i, u, v, c, d, total);
  }
}

void Columns(const Gradient& all, int64_t i, int64_t u, int64_t v, int64_t c, int64_t d,
             int64_t columns, int64_t outputs, Vector* total) {
  switch (columns) {
    case 1: return Outputs<1>(all, i, u, v, c, d, outputs, total);
    case 2: return Outputs<2>(all, i, u, v, c, d, outputs, total);
    case 3: return Outputs<3>(all, i, u, v, c, d, outputs, total);
    case 4: return Outputs<4>(all, i, u, v, c, d, outputs, total);
    default: return Outputs<5>(all, i, u, v, c, d, outputs, total);
  }
}

float Sum(const Vector& lanes) {
  float sum = 0;
  for (int k = 0; k < kLanes; ++k) sum += lanes[k];
  return sum;
}

ffi::Error KernelGradient(ffi::Buffer<ffi::F32> x, ffi::Buffer<ffi::F32> dy,
                          ffi::ResultBuffer<ffi::F32> kernel, ffi::ResultBuffer<ffi::F32> bias,
                          Grid from, Grid to) {
  const Gradient all{x.typed_data(), dy.typed_data(), Layout(x.dimensions(), from),
                     Layout(dy.dimensions(), to)};
  const int64_t kh = kernel->dimensions()[0], kw = kernel->dimensions()[1];
  const int64_t ci = all.from.channels, co = all.to.channels, batch = all.to.batch;
  const int64_t across = Tile(kw, kColumns), deep = Tile(co, kDeep);
  std::vector<Vector> total(kh * kw * ci * co), biases(co);
  for (int64_t i = 0; i < all.to.height; ++i) {
    for (int64_t d = 0; d < co; d += deep) {
      for (int64_t c = 0; c < ci; ++c) {
        for (int64_t u = 0; u < kh; ++u) {
          for (int64_t v = 0; v < kw; v += across) {
            Columns(all, i, u, v, c, d, std::min(across, kw - v), std::min(deep, co - d),
                    &total[((u * kw + v) * ci + c) * co + d]);
          }
        }
      }
    }
    for (int64_t d = 0; d < co; ++d) {
      for (int64_t j = 0; j < all.to.width; ++j) {
        const float* pixel = all.dy + d * all.to.plane + all.to.row[i] + all.to.column[j];
        int64_t e = 0;
        for (; e + kLanes <= batch; e += kLanes) biases[d] += Load<true>(pixel + e, kLanes);
        if (e < batch) biases[d] += Load<false>(pixel + e, batch - e);
      }
    }
  }
  std::transform(total.begin(), total.end(), kernel->typed_data(), Sum);
  std::transform(biases.begin(), biases.end(), bias->typed_data(), Sum);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(correlate, Correlate,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::F32>>()   // x [t, t, Ci, n·m·B]
                                  .Arg<ffi::Buffer<ffi::F32>>()   // kernel [kh, kw, Ci, Co]
                                  .Arg<ffi::Buffer<ffi::F32>>()   // bias [Co]
                                  .Ret<ffi::Buffer<ffi::F32>>()   // y [s, s, Co, n'·m'·B]
                                  .Attr<Grid>("from")             // (n, m)
                                  .Attr<Grid>("to")               // (n', m')
                                  .Attr<int64_t>("top")
                                  .Attr<int64_t>("left"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(kernel_gradient, KernelGradient,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::F32>>()   // x [t, t, Ci, n·m·B]
                                  .Arg<ffi::Buffer<ffi::F32>>()   // dy [s, s, Co, n'·m'·B]
                                  .Ret<ffi::Buffer<ffi::F32>>()   // dk [kh, kw, Ci, Co]
                                  .Ret<ffi::Buffer<ffi::F32>>()   // db [Co]
                                  .Attr<Grid>("from")             // (n, m)
                                  .Attr<Grid>("to"));             // (n', m')
