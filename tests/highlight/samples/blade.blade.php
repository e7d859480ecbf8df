{{-- list of servers --}}
@extends('layouts.app')
@section('content')
    <h1 class="title">{{ $title }}</h1>
    @foreach ($servers as $server)
        @if ($server->load > 90)
            <p>{{ strtoupper("hot: " . $server->name) }}</p>
        @endif
    @endforeach
@endsection
